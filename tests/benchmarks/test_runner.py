import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

from benchmarks.perf.kill_and_resume import kill_and_resume
from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval import __version__
from tts_eval.audio import Clip, write_audio
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError, StoreError
from tts_eval.manifest import VerifierRecord
from tts_eval.types import FailureKind, Prompt, Request
from verifiers.fake import FakeVerifier

CONFIG = RunConfig(synth="fake", n=4, verifier="fake", judge=("fake:2",), limit=4)


def frame(folder: Path) -> pandas.DataFrame:
    return results_frame(read_run(folder)).drop(columns=list(MEASURED_TIME))


@pytest.fixture
def troubled(monkeypatch):
    """A suite in which each request fails in another way."""
    fates = ("", "raise", "silent", "empty", "nan", "length")
    requests = [Request(id=f"r-{fate or 'fine'}", text="one two", metadata={"fake": fate}) for fate in fates]
    requests.append(Request(id="r-verifier", text="one two", metadata={"fake_verifier": "raise"}))
    suite = Suite(name="troubled@1", requests=tuple(requests), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)


def test_a_run_has_every_candidate_with_every_score(tmp_path: Path):
    run(CONFIG, tmp_path)
    table = frame(tmp_path)
    assert len(table) == 16
    assert table.groupby("request_id")["chosen"].sum().tolist() == [1] * 4
    assert table["fake#stray"].notna().all()
    assert table["fake:2#stray"].notna().all()
    best = table.loc[table.groupby("request_id")["fake#stray"].idxmin()]
    assert best["chosen"].all()


def test_texts_may_hold_any_line_separator(tmp_path: Path, monkeypatch):
    text = "one\u2028two\u2029three\u0085four\x0bfive\nsix\r\nseven"
    suite = Suite(name="separated@1", requests=(Request(id="r", text=text),), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(CONFIG, tmp_path)
    assert [request.text for request in read_run(tmp_path).requests] == [text]


def test_running_again_changes_nothing(tmp_path: Path):
    run(CONFIG, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    table = frame(tmp_path)
    run(CONFIG, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before
    pandas.testing.assert_frame_equal(frame(tmp_path), table)


def test_every_failure_stays_in_the_denominator_under_its_name(tmp_path: Path, troubled):
    run(replace(CONFIG, limit=None, n=2), tmp_path)
    table = frame(tmp_path)
    assert len(table) == 14
    first = table[table["index"] == 0].set_index("request_id")
    assert first["failure"].to_dict() == {
        "r-fine": "",
        "r-raise": "synthesis",
        "r-silent": "",
        "r-empty": "empty",
        "r-nan": "not-finite",
        "r-length": "",
        "r-verifier": "",
    }
    assert first.loc["r-silent", "fake#failure"] == "silent"
    assert first.loc["r-verifier", "fake#failure"] == "verifier"
    assert first.loc["r-length", "finish"] == "length"
    results = read_run(tmp_path)
    metric = results.metrics[0]
    values = {request.id: request.chosen.value(metric) for request in results.requests}
    assert {name for name, value in values.items() if value == metric.metric.worst} == {
        "r-raise", "r-silent", "r-empty", "r-nan", "r-verifier",
    }  # fmt: skip


def test_what_a_folder_lacks_is_missing_and_what_was_not_made_is_that(tmp_path: Path, tone: Clip):
    (tmp_path / "wavs").mkdir()
    write_audio(tmp_path / "wavs" / "plain-1.wav", tone)
    run(replace(CONFIG, synth=f"wavs:{tmp_path / 'wavs'}", n=1, limit=2), tmp_path / "run")

    def kinds() -> list[FailureKind | None]:
        chosen = [request.chosen for request in read_run(tmp_path / "run").requests]
        return [one.failure and one.failure.kind for one in chosen]

    assert kinds() == [None, FailureKind.MISSING]
    for part in (tmp_path / "run/candidates").glob("*.parquet"):
        part.unlink()
    assert kinds() == [FailureKind.NOT_MADE] * 2


def test_a_larger_n_another_rule_and_another_judge_reuse_what_is_there(tmp_path: Path):
    run(CONFIG, tmp_path)
    audio = {path.name for path in (tmp_path / "candidates/audio").iterdir()}
    run(replace(CONFIG, n=6, verifier="fake:3 + fake", judge=("fake:4",)), tmp_path)
    after = {path.name for path in (tmp_path / "candidates/audio").iterdir()}
    assert audio < after
    assert len(after) == 24
    results = read_run(tmp_path)
    assert {metric.verifier_key: metric.selected_on for metric in results.metrics} == {
        "fake:4": False, "fake:3": True, "fake": True,
    }  # fmt: skip


@pytest.mark.parametrize(("change", "name"), [({"seed": 1}, "seed"), ({"suite": "mini-dev"}, "suite")])
def test_a_folder_has_one_suite_and_one_seed(tmp_path: Path, change, name):
    run(CONFIG, tmp_path)
    with pytest.raises(ConfigError, match=f"was begun with {name}"):
        run(replace(CONFIG, **change), tmp_path)


@pytest.mark.parametrize("name", ["run.json", "requests.jsonl"])
def test_a_damaged_description_is_written_anew(tmp_path: Path, name):
    run(CONFIG, tmp_path)
    before = frame(tmp_path)
    (tmp_path / name).write_text('{"suite": ')
    with pytest.raises(StoreError, match=name):
        read_run(tmp_path)
    run(CONFIG, tmp_path)
    pandas.testing.assert_frame_equal(frame(tmp_path), before)


def test_a_judge_can_be_added_without_synthesizer_or_suite(tmp_path: Path, monkeypatch):
    run(CONFIG, tmp_path)
    monkeypatch.setattr("benchmarks.models.load_synthesizer", None)
    add_judges(tmp_path, ["fake:7"])
    table = frame(tmp_path)
    assert table["fake:7#stray"].notna().all()
    assert [metric.verifier_key for metric in read_run(tmp_path).metrics] == ["fake:2", "fake:7", "fake"]


def test_a_judge_sees_lost_audio_as_a_failure(tmp_path: Path):
    run(CONFIG, tmp_path)
    lost = sorted((tmp_path / "candidates/audio").iterdir())[0]
    lost.unlink()
    add_judges(tmp_path, ["fake:7"])
    assert frame(tmp_path)["fake:7#stray"].isna().sum() == 1


def test_running_again_keeps_the_judges_that_were_added(tmp_path: Path):
    run(CONFIG, tmp_path)
    add_judges(tmp_path, ["fake:7"])
    run(CONFIG, tmp_path)
    assert [metric.verifier_key for metric in read_run(tmp_path).metrics] == ["fake:2", "fake:7", "fake"]


def test_a_judge_is_not_held_out_under_another_spelling_of_the_selecting_one(tmp_path: Path):
    run(replace(CONFIG, judge=("fake:0", "fake:2")), tmp_path)
    held_out = {metric.verifier_key: not metric.selected_on for metric in read_run(tmp_path).metrics}
    assert held_out == {"fake:2": True, "fake:0": False, "fake": False}


def test_another_mode_of_the_same_weights_is_the_same_judge():
    def record(judge: str, name: str = "asr") -> VerifierRecord:
        return VerifierRecord(identity=f"{name}@1", judge=judge, metrics=())

    fast, exact = (record(f"faster-whisper:base@0925bd55b191:int8:{mode}") for mode in ("fast", "exact:seed-tts@1"))
    tiny = record("faster-whisper:tiny.en@839bf81cb6d5:int8:fast")
    assert fast.checkpoint == exact.checkpoint != tiny.checkpoint
    whole, quick = (record(f"{mode}:7c03aa417b84", "quality") for mode in ("dnsmos", "fast"))
    assert whole.checkpoint == quick.checkpoint


def test_mended_files_are_seen_by_the_next_run(tmp_path: Path, tone: Clip):
    wavs, out = tmp_path / "wavs", tmp_path / "run"
    wavs.mkdir()
    config = RunConfig(synth=f"wavs:{wavs}", n=1, verifier="fake", judge=("fake",), limit=2)
    write_audio(wavs / "plain-2.wav", tone)
    run(config, out)
    assert frame(out)["failure"].tolist() == ["missing", ""]
    write_audio(wavs / "plain-1.wav", tone)
    run(config, out)
    before = frame(out)
    assert before["failure"].tolist() == ["", ""]
    write_audio(wavs / "plain-1.wav", Clip(tone.samples[::2], tone.rate))
    run(config, out)
    assert frame(out)["fake#stray"].tolist() != before["fake#stray"].tolist()


def test_a_prompt_that_breaks_off_does_not_end_the_run(tmp_path: Path, monkeypatch, tone: Clip):
    write_audio(tmp_path / "prompt.flac", tone)
    (tmp_path / "prompt.flac").write_bytes((tmp_path / "prompt.flac").read_bytes()[:200])
    request = Request(id="r", text="one two", prompt=Prompt(audio=tmp_path / "prompt.flac"))
    suite = Suite(name="odd@1", requests=(request,), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(replace(CONFIG, limit=None), tmp_path / "run")
    assert frame(tmp_path / "run")["fake:2#stray"].notna().all()


def test_a_judge_can_be_added_after_a_prompt_has_moved(tmp_path: Path, monkeypatch, tone: Clip):
    write_audio(tmp_path / "prompt.wav", tone)
    request = Request(id="r", text="one two", prompt=Prompt(audio=tmp_path / "prompt.wav"))
    suite = Suite(name="odd@1", requests=(request,), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(replace(CONFIG, limit=None), tmp_path / "run")
    (tmp_path / "prompt.wav").rename(tmp_path / "elsewhere.wav")
    add_judges(tmp_path / "run", ["fake:7"])
    assert frame(tmp_path / "run")["fake:7#stray"].notna().all()


def test_judges_are_not_added_to_what_is_not_a_run(tmp_path: Path):
    with pytest.raises(StoreError, match="not a run"):
        add_judges(tmp_path / "nowhere", ["fake"])
    assert not (tmp_path / "nowhere").exists()


def test_all_unknown_names_are_reported_at_once(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        run(
            RunConfig(suite="minni", synth="piperr", strategy="best-of-m", verifier="asrr", judge=("spaeker",)),
            tmp_path,
        )
    assert len(caught.value.problems) == 5
    assert "Did you mean 'speaker'" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_one_candidate_is_no_selection(tmp_path: Path):
    run(replace(CONFIG, n=1, judge=("fake", "fake:2")), tmp_path)
    results = read_run(tmp_path)
    assert [(metric.verifier_key, metric.selected_on) for metric in results.metrics] == [
        ("fake", False), ("fake:2", False),
    ]  # fmt: skip


def test_a_stopped_run_counts_what_is_missing(tmp_path: Path):
    run(CONFIG, tmp_path)
    part = sorted((tmp_path / "candidates").glob("*.parquet"))[0]
    rows = pandas.read_parquet(part)
    rows.iloc[:-3].to_parquet(part)
    results = read_run(tmp_path)
    missing = [c for request in results.requests for c in request.candidates if c.failure]
    assert len(missing) == 3
    assert all("Run the same command again" in candidate.failure.message for candidate in missing)


def test_run_json_says_what_was_used(tmp_path: Path):
    run(CONFIG, tmp_path)
    manifest = json.loads((tmp_path / "run.json").read_text())
    assert manifest["suite"] == "mini@1"
    assert manifest["synthesizer"] == "fake:1"
    assert manifest["config"]["n"] == 4
    assert manifest["verifiers"]["fake:2"]["judge"] == "zero-crossings:2"
    assert manifest["provenance"]["packages"]["numpy"] == np.__version__


def test_a_run_killed_ten_times_ends_like_an_undisturbed_one(tmp_path: Path):
    flags = ["--synth", "fake", "--verifier", "fake", "--judge", "fake:2", "--n", "24"]
    outcome = kill_and_resume(flags, tmp_path, kills=10, seed=0)
    assert outcome.kills >= 5  # a kill that comes after the end proves nothing
    assert outcome.rows == 48 * 24
    assert outcome.differing_columns == ()


def test_a_limit_is_part_of_what_the_report_calls_the_suite(tmp_path: Path):
    run(CONFIG, tmp_path)
    assert read_run(tmp_path).suite.endswith(", first 4 of 48 requests")


def test_a_single_sample_is_not_called_a_selection(tmp_path: Path):
    run(replace(CONFIG, n=1), tmp_path)
    results = read_run(tmp_path)
    assert results.strategy == "single sample"
    assert not any(metric.selected_on for metric in results.metrics)


def test_what_a_run_was_made_with_before_is_kept(tmp_path: Path, monkeypatch):
    run(CONFIG, tmp_path)
    monkeypatch.setattr("benchmarks.runner.describe", lambda: {"tts_eval": "another"})
    for _ in range(2):
        run(CONFIG, tmp_path)
    manifest = json.loads((tmp_path / "run.json").read_text())
    assert manifest["provenance"] == {"tts_eval": "another"}
    assert [entry["tts_eval"] for entry in manifest["earlier_provenance"]] == [__version__]


def test_an_added_judge_hears_what_is_made_later(tmp_path: Path):
    run(replace(CONFIG, n=2), tmp_path)
    add_judges(tmp_path, ["fake:3"])
    run(CONFIG, tmp_path)
    assert frame(tmp_path)["fake:3#stray"].notna().all()


def test_adding_a_judge_notes_what_it_was_done_with(tmp_path: Path, monkeypatch):
    run(CONFIG, tmp_path)
    monkeypatch.setattr("benchmarks.rescore.describe", lambda: {"tts_eval": "another"})
    add_judges(tmp_path, ["fake:3"])
    manifest = json.loads((tmp_path / "run.json").read_text())
    assert manifest["provenance"] == {"tts_eval": "another"}
    assert [entry["tts_eval"] for entry in manifest["earlier_provenance"]] == [__version__]


def test_long_clips_are_read_and_judged_in_batches_of_bounded_audio(tmp_path: Path, monkeypatch):
    """Of a run, of its recordings and of judges that are added: seconds count, and scores do not depend on them."""
    wavs = tmp_path / "wavs"
    wavs.mkdir()
    time = np.arange(48_000, dtype=np.float32)
    for number in range(6):
        write_audio(wavs / f"r{number}.wav", Clip(np.sin(time[: 8_000 * (number + 1)] / (20 + number)), 16_000))
    requests = tuple(Request(id=f"r{i}", text="one two", ground_truth=wavs / f"r{i}.wav") for i in range(6))
    suite = Suite(name="lengths@1", requests=requests, judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    config = RunConfig(synth=f"wavs:{wavs}", n=1, verifier="fake", judge=("fake:2",))
    run(config, tmp_path / "whole")
    monkeypatch.setattr("benchmarks.runner.JUDGED_SECONDS", 1.6)
    batches: dict[str, list[list[float]]] = {}
    original = FakeVerifier.score

    def score(self, items):
        batches.setdefault(self.judge, []).append([item.seconds for item in items])
        return original(self, items)

    monkeypatch.setattr(FakeVerifier, "score", score)
    run(config, tmp_path / "parts")
    add_judges(tmp_path / "parts", ["fake:3"])
    for judge in ("zero-crossings:2", "zero-crossings:3"):
        assert batches[judge] == [[0.5, 1.0], [1.5], [2.0], [2.5], [3.0]] * 2
    columns = ["fake#stray", "fake:2#stray"]
    assert frame(tmp_path / "whole")[columns].equals(frame(tmp_path / "parts")[columns])
