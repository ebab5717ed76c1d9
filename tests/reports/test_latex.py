"""LaTeX and Markdown as people paste them: golden tables, what text must not do, and that it compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from results_factory import make_results

from reports.latex import MOST_LINES, escape_latex, to_latex
from reports.page import write_report
from reports.tables import Cell, Column, Table, to_markdown

TABLE = Table(
    "Metrics & more",
    (Column("Metric"), Column("Judge", essential=False), Column("WER_%", numeric=True)),
    (
        (Cell("wer", "asr:base\nlower is better"), Cell("a"), Cell("−1.20 pp", "[−2.0, +0.1]")),
        (Cell("a|b <i>", ""), Cell("b"), Cell("n/a", tone="held-out")),
    ),
    ("5 % of {them} cost $2.",),
)
LATEX = r"""\begin{table}[htbp]
\centering\footnotesize\setlength{\tabcolsep}{4pt}\setlength{\abovecaptionskip}{0pt}\setlength{\belowcaptionskip}{4pt}
\caption{Metrics \& more}\label{tab:metrics-more}
\begin{tabular}{@{}lr@{}}
\toprule
Metric & WER\_\% \\
\midrule
wer & $-$1.20 pp \\
{\scriptsize asr:base; lower is better} & {\scriptsize {[}$-$2.0, +0.1]} \\
\addlinespace[2pt]
a\textbar{}b \textless{}i\textgreater{} & \textbf{n/a} \\
\bottomrule
\end{tabular}
\par\smallskip\parbox{\linewidth}{\scriptsize 5 \% of \{them\} cost \$2.}
\end{table}"""
MARKDOWN = """## Metrics &amp; more

| Metric | Judge | WER\\_% |
| --- | --- | ---: |
| wer<br>asr:base<br>lower is better | a | −1.20 pp<br>[−2.0, +0.1] |
| a\\|b &lt;i&gt; | b | **n/a** |

5 % of {them} cost $2."""
HOSTILE = "</script> \\input{/etc/passwd} \"><img onerror=1> ~^_%$#&{}[]|` \u202e\u05d0 \U0001f600 中 ﬁ -- ,, '' É ÿ"
COMPILER = shutil.which("pdflatex") or shutil.which("tectonic")


def test_golden_latex() -> None:
    assert to_latex(TABLE) == LATEX


def test_golden_markdown() -> None:
    assert to_markdown(TABLE) == MARKDOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100 % of A_B & {C}", r"100 \% of A\_B \& \{C\}"),
        ("\\newpage", r"\textbackslash{}newpage"),
        ("Köln, 中", r"Köln, \texttt{U+4E2D}"),
        ("two\nlines\tof  text", "two lines of text"),
        ("--json", "-{}-json"),
        ("[a] *b", "{[}a] {*}b"),
        ("a\x00b\x1b", r"a\texttt{U+0000}b\texttt{U+001B}"),
    ],
)
def test_text_is_set_as_it_is(text: str, expected: str) -> None:
    assert escape_latex(text) == expected


def test_no_character_is_left_that_means_something() -> None:
    """Every special character is escaped: what is left is a command that this module wrote."""
    for code in [*range(0x20, 0x180), 0x2212, 0x202E, 0x4E2D, 0x1F600]:
        escaped = escape_latex(f"a{chr(code)}b")
        bare = re.sub(r"\\[a-z]+\{\}|\\texttt\{U\+[0-9A-F]+\}|\\[%&#_{}$]|\$[^$]+\$|\{\[\}|\{\*\}|\{\}", "", escaped)
        assert not set(bare) & set("\\{}$&#^_%~[*"), escaped


def test_long_tables_go_over_pages() -> None:
    rows = tuple((Cell(str(number), "detail"),) for number in range(MOST_LINES))
    text = to_latex(Table("Long", (Column("A"),), rows, ("A note.",)))
    assert re.findall(r"\\caption\{(.*?)\}", text) == ["Long, part 1 of 2", "Long, part 2 of 2"]
    assert text.count(r"\label{tab:long}") == text.count("A note.") == 1
    assert re.findall(r"^(\d+) \\\\$", text, re.MULTILINE) == [str(number) for number in range(MOST_LINES)]


def test_a_table_without_rows_or_notes_is_whole() -> None:
    text = to_latex(Table("Empty", (Column("A"), Column("B")), ()))
    assert "\\midrule\n\\bottomrule" in text and "parbox" not in text


def structure_problems(text: str) -> list[str]:
    """What would keep a compiler from going through: environments, braces, and cells of each row."""
    problems, open_ones, columns = [], [], 0
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            open_ones.append(name)
        elif not open_ones or open_ones.pop() != name:
            problems.append(f"\\end{{{name}}}")
    bare = re.sub(r"\\[{}]", "", text)
    if bare.count("{") != bare.count("}"):
        problems.append("braces")
    for line in text.splitlines():
        if found := re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", line):
            columns = len(found[1])
        elif line.endswith(r"\\") and len(re.findall(r"(?<!\\)&", line)) != columns - 1:
            problems.append(line)
    return [*problems, *open_ones]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose names and texts are hostile."""
    from dataclasses import replace

    place = tmp_path_factory.mktemp("run")
    results = make_results(place, requests=6, n=2, groups=(HOSTILE, "b_&_c"))
    write_report(replace(results, name=HOSTILE, synthesizer=HOSTILE, limits=(HOSTILE,)), place, audio="none")
    return place / "report"


def test_the_report_is_sound_latex(folder: Path) -> None:
    tables, document = (folder / "tables.tex").read_text(), (folder / "report.tex").read_text()
    assert structure_problems(tables) == structure_problems(document) == []
    assert r"\input{tables}" in document and r"\input{/etc" not in document + tables
    assert tables.count(r"\begin{table}") >= 6 and "whisper-tiny.en 1a5afae06a4d" in tables
    shown = re.findall(r"\\includegraphics\[[^]]*\]\{(.*?)\}", document)
    assert shown == ["best_at_k.pdf", "distribution.pdf", "promise.pdf", "scaling.pdf"]


def test_a_document_shows_the_figures_of_its_own_report_and_no_other_pdf(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    for name in ("best_at_k.pdf", "report.pdf"):  # of an earlier report with more candidates, and made of report.tex
        (folder / name).write_bytes(b"%PDF-1.4")
    write_report(make_results(tmp_path, requests=6, n=1), tmp_path, audio="none")
    shown = re.findall(r"\\includegraphics\[[^]]*\]\{(.*?)\}", (folder / "report.tex").read_text())
    assert shown == ["distribution.pdf"]


def test_structure_problems_are_seen() -> None:
    assert structure_problems(LATEX) == []
    assert structure_problems(LATEX.replace(r"Metric & WER", "Metric WER"))
    assert structure_problems(LATEX.replace(r"\end{tabular}", ""))
    assert structure_problems(LATEX.replace(r"\textbf{n/a}", r"\textbf{n/a"))


@pytest.mark.skipif(COMPILER is None, reason="neither pdflatex nor tectonic is installed")
def test_the_report_compiles(folder: Path, tmp_path: Path) -> None:
    assert COMPILER is not None
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    batch = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in COMPILER else []
    done = subprocess.run([COMPILER, *batch, "report.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
