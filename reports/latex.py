r"""The report's tables for a paper: LaTeX with booktabs, the same cells as everywhere else.

`tables.tex` is made to be \input; it needs no package but booktabs. `report.tex` is a small document around it and
the figures, which compiles as it is. Details (intervals) stand below their value, as papers have them. Only the
columns that fit a page's width are kept; what of a metric's identity that leaves out is in the notes.

Text is set as it is by pdflatex with T1 fonts: whatever those have no letter for stands as its code point, U+4E2D.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

from reports.cost_table import cost_table
from reports.scale_table import scale_table
from reports.summary import Summary
from reports.tables import Cell, Column, Table, coverage_table, curve_table, groups_table, headline, metrics_table
from reports.transfer_tables import TransferSection

COMMANDS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "−": "$-$", "–": "--", "—": "---",
    "→": r"$\rightarrow$", "←": r"$\leftarrow$", "×": r"$\times$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$",
    "…": r"\ldots{}", "’": "'", "“": "``", "”": "''",
    # At the head of a row these would be read as an argument of the \\ before it.
    "[": "{[}", "*": "{*}",
}  # fmt: skip
LIGATURES = re.compile(r"(?<=-)(?=-)|(?<=,)(?=,)|(?<=')(?=')")
SIZES = (
    r"\centering\footnotesize\setlength{\tabcolsep}{4pt}"
    r"\setlength{\abovecaptionskip}{0pt}\setlength{\belowcaptionskip}{4pt}"
)
ROW_SPACE = r"\addlinespace[2pt]"
MOST_LINES = 48
"""Of one table, rows and their details: what fits on a page with a few lines of notes."""
LAST_LATIN = 0x17F
"""Up to here pdflatex knows letters by themselves."""
NEEDED = "% In the preamble: \\usepackage[T1]{fontenc} \\usepackage{booktabs}"
PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}"""


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it is, on one line."""
    parts = LIGATURES.split(" ".join(text.split()))
    return "{}".join("".join(map(_escaped, part)) for part in parts)


def _escaped(letter: str) -> str:
    if letter in COMMANDS:
        return COMMANDS[letter]
    if " " <= letter <= "~":
        return letter
    if ord(letter) <= LAST_LATIN and unicodedata.category(letter).startswith("L"):
        return letter
    return f"\\texttt{{U+{ord(letter):04X}}}"


def to_latex(table: Table, *, essential: bool = True) -> str:
    """A floating table, in parts where it is longer than a page; notes stand below the last.

    The label is `tab:` and the caption in small letters, of the first part; `essential` keeps the columns that fit.
    """
    kept = [index for index, column in enumerate(table.columns) if column.essential or not essential]
    columns = [table.columns[index] for index in kept]
    rows = [list(_lines([row[index] for index in kept], columns)) for row in table.rows]
    label = re.sub(r"[^a-z0-9]+", "-", table.caption.lower()).strip("-")
    head = [
        rf"\begin{{tabular}}{{@{{}}{''.join('r' if column.numeric else 'l' for column in columns)}@{{}}}}",
        r"\toprule",
        " & ".join(escape_latex(column.title) for column in columns) + r" \\",
        r"\midrule",
    ]
    parts = _parts(rows)
    floats = []
    for number, part in enumerate(parts, start=1):
        caption = escape_latex(table.caption) + (f", part {number} of {len(parts)}" if len(parts) > 1 else "")
        notes = " ".join(escape_latex(note) for note in table.notes) if number == len(parts) else ""
        body = f"\n{ROW_SPACE}\n".join("\n".join(lines) for lines in part)
        floats.append(
            "\n".join([
                r"\begin{table}[htbp]",
                SIZES,
                rf"\caption{{{caption}}}" + (rf"\label{{tab:{label}}}" if number == 1 else ""),
                *head,
                *([body] if body else []),
                r"\bottomrule",
                r"\end{tabular}",
                *([rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {notes}}}"] if notes else []),
                r"\end{table}",
            ])
        )  # fmt: skip
    return "\n\n".join(floats)


def _parts(rows: Sequence[Sequence[str]]) -> list[list[Sequence[str]]]:
    """The rows in as many parts as pages are needed; at least one."""
    parts: list[list[Sequence[str]]] = [[]]
    for row in rows:
        if parts[-1] and sum(map(len, parts[-1])) + len(row) > MOST_LINES:
            parts.append([])
        parts[-1].append(row)
    return parts


def _lines(row: Sequence[Cell], columns: Sequence[Column]) -> Iterator[str]:
    """The row, then its details a line at a time."""
    yield " & ".join(_main(cell) for cell in row) + r" \\"
    details = [
        cell.detail.splitlines() if column.numeric else ["; ".join(cell.detail.splitlines())]
        for cell, column in zip(row, columns, strict=True)
    ]
    for place in range(max(map(len, filter(any, details)), default=0)):
        parts = [lines[place] if place < len(lines) else "" for lines in details]
        yield " & ".join(rf"{{\scriptsize {escape_latex(part)}}}" if part else "" for part in parts) + r" \\"


def _main(cell: Cell) -> str:
    text = escape_latex(cell.text)
    return rf"\textbf{{{text}}}" if cell.tone in ("held-out", "better") else text


def latex_tables(summary: Summary, section: TransferSection) -> str:
    """tables.tex: all tables of a run."""
    identities = [
        f"{metric.judged.metric.name} by {metric.judged.verifier_key}: "
        f"{metric.judged.metric.protocol or 'no protocol'}, {metric.judged.judge}."
        for metric in summary.metrics
    ]
    metrics = metrics_table(summary)
    tables = [
        coverage_table(summary), replace(metrics, notes=(*identities, *metrics.notes)), scale_table(summary),
        groups_table(summary), curve_table(summary), *section.tables, *section.folded, cost_table(summary),
    ]  # fmt: skip
    return "\n\n".join([NEEDED, *(to_latex(table) for table in tables if table is not None)]) + "\n"


def latex_document(summary: Summary, figures: Sequence[str]) -> str:
    """report.tex: a document of tables.tex and the figures (file names in the same folder), which compiles as it is."""
    facts = (
        f"Suite {summary.suite}; synthesizer {summary.synthesizer}; strategy {summary.strategy}; "
        f"{summary.n} candidate{'s' if summary.n > 1 else ''} of each request."
    )
    parts = [
        PREAMBLE,
        rf"\section*{{{escape_latex(summary.run)}}}",
        *(escape_latex(text) for text in (headline(summary), facts, *summary.limits)),
        r"\input{tables}",
        *(
            "\\begin{figure}[htbp]\n\\centering\n"
            rf"\includegraphics[width=\linewidth,height=0.9\textheight,keepaspectratio]{{{name}}}"
            "\n\\end{figure}"
            for name in figures
        ),
        r"\end{document}",
    ]
    return "\n\n".join(parts) + "\n"
