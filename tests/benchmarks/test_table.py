import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from benchmarks.suite import load_suite
from tts_eval.errors import ConfigError, DataError

ROWS = [
    {
        "key": "a",
        "sentence": 'He said "no", twice.',
        "path": "p/1.wav",
        "said": "Hello.",
        "voice": "s1",
        "mood": "anger",
    },
    {"key": "b", "sentence": "Grüße", "path": "", "said": "", "voice": "s2", "mood": ""},
]
MAPPING = "id=key,text=sentence,prompt=path,prompt_text=said,speaker=voice,group=voice,emotion=mood"


def write_table(folder: Path, kind: str, rows: list[dict[str, object]] = ROWS) -> str:
    (folder / "p").mkdir(exist_ok=True)
    (folder / "p/1.wav").touch()
    path = folder / f"corpus.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n")
    else:
        separator = "\t" if kind == "tsv" else ","
        escaped = [[str(v).replace('"', '""') for v in row.values()] for row in rows]
        cells = (
            [[f'"{v}"' for v in row] for row in escaped]
            if kind == "csv"
            else [list(map(str, r.values())) for r in rows]
        )
        path.write_text("\n".join(separator.join(map(str, line)) for line in [rows[0], *cells]), encoding="utf-8-sig")
    return path.name


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_of_any_kind(tmp_path: Path, kind):
    suite = load_suite(f"table:{write_table(tmp_path, kind)},{MAPPING}", data_dir=tmp_path)
    first, second = suite.requests
    assert (first.id, first.text, first.speaker, first.group) == ("a", 'He said "no", twice.', "s1", "s1")
    assert (first.prompt.audio, first.prompt.transcript) == (tmp_path / "p/1.wav", "Hello.")
    assert (first.prompt.style, first.metadata) == ("angry", {"emotion": "angry"})
    assert (second.text, second.prompt, second.metadata, second.language) == ("Grüße", None, {}, "en")
    assert suite.judges == ("asr:base", "speaker:campplus", "emotion", "quality")


def test_columns_that_bear_their_names_need_no_mapping(tmp_path: Path):
    rows = [
        {"text": "one", "language": "zh", "ground_truth": "p/1.wav", "style": "calm"},
        {"text": "今天", "style": None},
    ]
    path = tmp_path / write_table(tmp_path, "jsonl", rows)
    suite = load_suite(f"table:{path}")
    first, second = suite.requests
    assert [(r.id, r.text, r.language) for r in suite.requests] == [("1", "one", "zh"), ("2", "今天", "zh")]
    assert (first.ground_truth, first.prompt.style) == (tmp_path / "p/1.wav", "calm")
    assert second.prompt is None
    assert suite.judges == ("asr:base:seed-tts@1", "quality")


def test_the_name_depends_on_content_and_mapping(tmp_path: Path):
    rows = [{"text": "one", "other": "two"}]
    name = write_table(tmp_path, "csv", rows)
    names = {
        load_suite(f"table:{name}{mapping}", data_dir=tmp_path).name for mapping in ("", ",text=text", ",text=other")
    }
    assert len(names) == 2
    write_table(tmp_path, "csv", [{"text": "one", "other": "three"}])
    assert load_suite(f"table:{name}", data_dir=tmp_path).name not in names


def test_bad_rows_are_named_together(tmp_path: Path):
    rows = [
        {"id": "a", "text": "fine", "prompt": ""},
        {"id": "a", "text": "twice", "prompt": ""},
        {"id": "b", "text": "...", "prompt": ""},
        {"id": "../c", "text": "bad id", "prompt": ""},
        {"id": "d", "text": "gone", "prompt": "p/2.wav"},
        {"id": "e", "text": "out", "prompt": "/etc/hostname"},
        {"id": "f", "text": {"array": [1]}, "prompt": ""},
        {"id": "g", "text": "a name", "prompt": "", "language": "English"},
    ]
    with pytest.raises(DataError) as caught:
        load_suite(f"table:{write_table(tmp_path, 'jsonl', rows)}", data_dir=tmp_path)
    for part in (
        "row 2: the id 'a' is there twice",
        "row 3: there is no text to say",
        "row 4: '../c' is not usable as an id",
        "row 5: no audio at",
        "row 6: the path '/etc/hostname' leaves the data folder",
        "row 7: expected plain text, found a dict",
        "row 8: 'English' is no code of a language; expected en, zh, en-GB",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(("kind", "separator"), [("csv", ","), ("tsv", "\t")])
def test_a_text_that_is_cut_at_a_separator_is_named_and_not_said(tmp_path: Path, kind, separator):
    rows = [["id", "text"], ["a", "Hello."], ["b", "Hello", " world."]]
    (tmp_path / f"corpus.{kind}").write_text("\n".join(separator.join(row) for row in rows))
    with pytest.raises(DataError, match="row 2: more cells than columns"):
        load_suite(f"table:corpus.{kind}", data_dir=tmp_path)
    with pytest.raises(DataError, match=r"has the columns id, text:\nNo column 'texd' for text. Did you mean"):
        load_suite(f"table:corpus.{kind},text=texd", data_dir=tmp_path)


def test_an_empty_cell_of_pandas_is_empty(tmp_path: Path):
    rows = [{"text": "one", "speaker": 1.5, "prompt": float("nan")}, {"text": "two", "speaker": float("nan")}]
    for kind in ("jsonl", "parquet"):
        suite = load_suite(f"table:{write_table(tmp_path, kind, rows)}", data_dir=tmp_path)
        assert [(request.speaker, request.prompt) for request in suite.requests] == [("1.5", None), ("", None)]


def test_half_an_emoji_is_named_and_not_said(tmp_path: Path):
    (tmp_path / "corpus.jsonl").write_text(r'{"text": "whole \ud83d\ude00"}' + "\n" + r'{"text": "half \ud83d"}')
    with pytest.raises(DataError, match=r"corpus\.jsonl, row 2: 'half \\ud83d' has half a character"):
        load_suite("table:corpus.jsonl", data_dir=tmp_path)


def test_a_text_may_hold_any_line_separator(tmp_path: Path):
    text = "one\u2028two\u0085three\nfour"
    for kind in ("csv", "jsonl"):
        (request,) = load_suite(f"table:{write_table(tmp_path, kind, [{'text': text}])}", data_dir=tmp_path).requests
        assert request.text == text


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("table", ConfigError, "needs a file"),
        ("table:corpus.csv,texd=a", ConfigError, "Did you mean 'text'"),
        ("table:corpus.csv", DataError, "No column 'text' for text. Write text=COLUMN."),
        ("table:corpus.csv,text=sentences", DataError, "Did you mean text=sentence"),
        ("table:corpus.csv,text=sentence,prompt=wav", DataError, "No column 'wav' for prompt"),
        ("table:nowhere.csv", DataError, "cannot be read as a table"),
        ("table:corpus.xlsx", DataError, "expected one of .csv, .tsv, .jsonl, .parquet"),
        ("table:broken.parquet", DataError, "cannot be read as a table"),
        ("table:parts.parquet", DataError, "Is a directory"),
        ("table:broken.jsonl", DataError, "cannot be read as a table"),
    ],
)
def test_what_is_wrong_with_the_whole_is_said(tmp_path: Path, spec, error, message):
    write_table(tmp_path, "csv")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not")
    (tmp_path / "parts.parquet").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"text": "a"}]), tmp_path / "parts.parquet/0.parquet")
    (tmp_path / "broken.jsonl").write_text("[1, 2]\n")
    with pytest.raises(error) as caught:
        load_suite(spec, data_dir=tmp_path)
    assert message in str(caught.value)


def test_a_real_table_of_tabs(data: Path):
    suite = load_suite("table:metadata.tsv,speaker=voice", data_dir=data / "kokoro-speech", sample=56)
    assert len({request.speaker for request in suite.requests}) == 28
