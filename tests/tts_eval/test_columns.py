"""A run read in columns is the run: the same rows, found by the same keys, and texts only when somebody looks."""

import json
from pathlib import Path

import pytest

import tts_eval.columns
from tts_eval.columns import RunColumns
from tts_eval.errors import StoreError
from tts_eval.records import score_from_row
from tts_eval.store import RunStore


def candidate(key: str, **other: object) -> dict:
    return {"key": key, "index": 0, "seed": 7, "finish": "eos", "audio": f"{key}.flac", "flops": None} | other


def score(key: str, value: float | None = 0.5, **other: object) -> dict:
    values = {} if value is None else {"wer": value, "errors": 3.0}
    return {
        "key": key, "verifier": "asr@3", "judge": "made-up", "value": value, "values": json.dumps(values),
        "details": json.dumps({"transcript": f"what {key} says"}), "failure": "" if value is not None else "silent",
        "failure_message": "" if value is not None else "Nothing is heard.", "verifier_seconds": 0.25,
    } | other  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with RunStore.create(tmp_path) as store:
        store.write_json("run.json", {})
        store.add_candidates([candidate("a", trace=""), candidate("b", trace="a tree")])
        store.add_candidates([candidate("c", seed=8, retries=0), candidate("a", seed=9, retries=2, flops=1e9)])
        store.add_scores([score("x"), score("y", None)])
        store.add_scores([score("z", 0.0), score("x", 1.0)])
    return tmp_path


def test_scores_are_those_of_the_rows(run: Path):
    columns, rows = RunColumns(run), RunStore.read(run).scores
    clips = columns.scores.find([{"one": "x", "other": "y"}, {}, {"one": "nobody's", "other": "z"}])
    assert [dict(clip) for clip in clips] == [
        {"one": score_from_row(rows["x"]), "other": score_from_row(rows["y"])},
        {},
        {"other": score_from_row(rows["z"])},
    ]
    assert [len(clip) for clip in clips] == [2, 0, 1]
    assert "one" in clips[0] and "one" not in clips[2] and "third" not in clips[0]
    with pytest.raises(KeyError):
        clips[2]["one"]


def test_of_two_rows_with_one_key_the_later_wins(run: Path):
    columns = RunColumns(run)
    (found,) = columns.candidates.find(["a"])
    assert found is not None
    assert (found.row["seed"], found.row["retries"], found.row["flops"]) == (9, 2, 1e9)
    assert columns.scores.find([{"one": "x"}])[0]["one"].value == 1.0


def test_candidates_come_in_the_order_of_the_keys_and_without_what_their_version_did_not_have(run: Path):
    found = RunColumns(run).candidates.find(["c", "nobody's", "b", "a"])
    assert [one and one.row["audio"] for one in found] == ["c.flac", None, "b.flac", "a.flac"]
    assert found[2] is not None and "retries" not in found[2].row and "flops" not in found[2].row


def test_texts_stay_in_their_parts_until_somebody_looks(run: Path, monkeypatch: pytest.MonkeyPatch):
    columns = RunColumns(run)
    read: list[str] = []
    real = tts_eval.columns.read_part
    monkeypatch.setattr(
        tts_eval.columns, "read_part", lambda path, names: (read.append(path.name), real(path, names))[1]
    )
    (clip,) = columns.scores.find([{"one": "x"}])
    (found,) = columns.candidates.find(["b"])
    assert found is not None and read == []
    assert clip["one"].details["transcript"] == "what x says"
    assert columns.candidates.trace(found.place) == "a tree"
    assert columns.candidates.trace(columns.candidates.find(["c"])[0].place) == ""  # that part has no such column
    assert read == ["part-000002.parquet", "part-000001.parquet", "part-000002.parquet"]


def test_few_texts_are_remembered(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tts_eval.columns, "MOST_BYTES", 1)
    columns = RunColumns(run)
    clip = columns.scores.find([{"one": "x", "other": "y"}])[0]
    texts = [score.details["transcript"] for _ in range(2) for score in clip.values()]
    assert texts == ["what x says", "what y says"] * 2


def test_a_damaged_part_is_named_and_one_that_is_gone_says_so(run: Path):
    columns = RunColumns(run)
    assert columns.damaged == ()
    (run / "scores/part-000002.parquet").write_bytes(b"PAR1")
    (clip,) = columns.scores.find([{"one": "x"}])
    with pytest.raises(StoreError, match=r"part-000002\.parquet was there"):
        clip["one"].details["transcript"]
    again = RunColumns(run)
    assert again.damaged == ("scores/part-000002.parquet",)
    assert again.scores.find([{"one": "x"}])[0]["one"].value == 0.5  # the earlier one


def test_a_folder_without_rows(tmp_path: Path):
    with pytest.raises(StoreError, match="is not a run"):
        RunColumns(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    columns = RunColumns(tmp_path)
    assert columns.candidates.find(["a"]) == [None]
    assert [dict(clip) for clip in columns.scores.find([{"one": "x"}, {}])] == [{}, {}]
