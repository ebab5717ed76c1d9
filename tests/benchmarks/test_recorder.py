"""What is known at once is written later, unless it was forgotten in between."""

from pathlib import Path

from benchmarks.filling import delete_audio
from benchmarks.recorder import Recorder
from benchmarks.stage import Made
from tts_eval.records import candidate_row
from tts_eval.store import RunStore
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.synthesizers.fake import FakeSynthesizer
from tts_eval.types import FailureKind, Request


def test_a_candidate_that_is_forgotten_before_it_is_written_stays_forgotten(tmp_path: Path, make_jobs):
    request = Request(id="r", text="one")
    failures = [failed_candidate(job, FailureKind.SYNTHESIS, "lost") for job in make_jobs([request], 2)]
    rows = [candidate_row(key, "r", FakeSynthesizer(), one, "") for key, one in zip("ab", failures, strict=True)]
    with RunStore.create(tmp_path / "run") as store:
        with Recorder(store) as recorder:
            recorder.add(Made(rows, []))
            recorder.forget(rows[0])
        store.write_json("run.json", {})
        assert set(store.candidates) == store.fresh == {"b"}
    assert set(RunStore.read(tmp_path / "run").candidates) == {"b"}


def test_audio_that_cannot_be_read_is_deleted_inside_the_run_alone(tmp_path: Path):
    run = tmp_path / "run"
    (run / "candidates/audio").mkdir(parents=True)
    mine, yours = run / "candidates/audio/r_0.flac", tmp_path / "letter.txt"
    (run / "candidates/audio/link.flac").symlink_to(yours)
    for path in (mine, yours):
        path.write_bytes(b"not audio")
    for audio in (
        "candidates/audio/r_0.flac",
        "../letter.txt",
        str(yours),
        "candidates/audio/link.flac",
        "",
        "gone.flac",
    ):
        delete_audio(run, audio)
    assert yours.exists() and not mine.exists()
