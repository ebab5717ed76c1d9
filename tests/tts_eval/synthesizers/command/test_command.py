"""With real programs, which the tests write."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tts_eval.audio import Clip, Excerpt, write_audio
from tts_eval.errors import ConfigError
from tts_eval.limits import limit_notes
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import FailureKind, FinishReason, Prompt, Request, Sampling

# A tone as long as the text has words; what a text begins with may ask for more.
PROGRAM = """
import json, os, struct, sys, time, wave
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
with open({journal!r}, "a") as journal:
    journal.write(json.dumps({{"jobs": lines, "cwd": os.getcwd(), "path": os.environ.get("PYTHONPATH")}}) + "\\n")
print("loaded", len(lines), "jobs", file=sys.stderr, flush=True)
for job in lines:
    word = job["text"].split()[0]
    if word == "crash":
        sys.exit("boom on " + job["id"])
    if word == "hang":
        import subprocess
        child = subprocess.Popen(["sleep", "60"])
        open({journal!r} + ".pid", "w").write(str(child.pid))
        time.sleep(60)
    if word == "leave":
        import subprocess
        child = subprocess.Popen(["sleep", "60"])
        open({journal!r} + ".pid", "w").write(str(child.pid))
    if word == "skip":
        continue
    if word == "garbage":
        open(job["out"], "wb").write(b"not audio")
        continue
    if word == "link":
        os.symlink({journal!r}, job["out"])
        continue
    with wave.open(job["out"], "wb") as out:
        out.setnchannels(1); out.setsampwidth(2); out.setframerate(8000)
        value = 1000 + job["seed"] % 1000
        out.writeframes(struct.pack("<h", value) * (800 * len(job["text"].split())))
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """Writes a program and its config; further settings replace those of the config."""

    def write(**settings: object) -> Path:
        (tmp_path / "say.py").write_text(PROGRAM.format(journal=str(tmp_path / "journal")))
        config = {"command": [sys.executable, "say.py", "{jobs}"], "revision": "1", "clones": True}
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(config | {"reproducible": True} | settings))
        return path

    return write


def journal(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path.parent / "journal").read_text().splitlines()]


def request(text: str, **more: object) -> Request:
    return Request(id=f"id-{text.split()[0]}", text=text, **more)  # type: ignore[arg-type]


def test_jobs_go_in_and_audio_comes_out(program, make_jobs):
    path = program()
    jobs = make_jobs([request("one two"), request("three")], 2)
    made = load_synthesizer(f"command:{path}").generate(jobs)
    assert [candidate.clip.seconds for candidate in made] == pytest.approx([0.2, 0.2, 0.1, 0.1])
    assert [candidate.seed for candidate in made] == [job.seed for job in jobs]
    assert all(candidate.finish is FinishReason.EOS and candidate.cost.retries == 0 for candidate in made)
    for job, candidate in zip(jobs, made, strict=True):
        assert candidate.clip.samples[0] == pytest.approx((1000 + job.seed % 2**31 % 1000) / 32768)
    assert len(journal(path)) == 1


def test_the_program_is_told_everything_about_a_job(program, make_jobs, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere/of/ours")
    path = program()
    prompt = Prompt(audio=Clip(np.full(80, 0.5), 8000), transcript="Hi.", style="glad")
    sampling = Sampling(temperature=0.5, top_p=0.75, top_k=3, repetition_penalty=1.25, max_seconds=9.0)
    jobs = make_jobs([request("x", language="de", prompt=prompt)], 2, sampling)
    load_synthesizer(f"command:{path}").generate(jobs)
    (run,) = journal(path)
    assert run["cwd"] == str(path.parent.resolve())
    assert run["path"] is None
    told = run["jobs"][1]
    out, reference = Path(told.pop("out")), Path(told.pop("prompt"))
    assert told == {
        "id": "id-x", "index": 1, "text": "x", "language": "de", "transcript": "Hi.", "style": "glad",
        "seed": jobs[1].seed % 2**31, "temperature": 0.5, "top_p": 0.75, "top_k": 3, "repetition_penalty": 1.25,
        "max_seconds": 9.0,
    }  # fmt: skip
    assert reference.name.endswith(".wav")
    assert not out.parent.parent.exists(), "the temporary folder is gone"


def test_a_prompt_that_is_the_beginning_of_a_file_is_written_as_one(program, make_jobs, tmp_path):
    path = program()
    whole = tmp_path / "voice.wav"
    write_audio(whole, Clip(np.full(8000, 0.5), 8000))
    prompted = request("x", prompt=Prompt(audio=Excerpt(whole, 0.25)))
    load_synthesizer(f"command:{path}").generate(make_jobs([prompted], 1))
    (run,) = journal(path)
    assert Path(run["jobs"][0]["prompt"]) != whole
    assert run["jobs"][0]["prompt"].endswith(".wav")


def test_a_prompt_that_is_a_file_is_named_as_it_is(program, make_jobs, tmp_path):
    path = program()
    prompted = request("x", prompt=Prompt(audio=tmp_path / "voice.flac"))
    load_synthesizer(f"command:{path}").generate(make_jobs([prompted, request("y")], 1))
    (run,) = journal(path)
    assert [job["prompt"] for job in run["jobs"]] == [str(tmp_path / "voice.flac"), None]


def test_missing_files_garbage_and_links_are_failures_of_their_own(program, make_jobs):
    requests = [request(text) for text in ("fine", "skip", "garbage", "link", "good")]
    path = program()
    made = load_synthesizer(f"command:{path}").generate(make_jobs(requests, 1))
    kinds = [candidate.failure and candidate.failure.kind for candidate in made]
    assert kinds == [None, FailureKind.MISSING, FailureKind.UNREADABLE, FailureKind.MISSING, None]
    assert "'id-skip'" in made[1].failure.message
    assert "loaded 5 jobs" in made[1].failure.message
    assert len(journal(path)) == 1


def test_a_crash_costs_its_own_job_alone_and_is_counted(program, make_jobs):
    requests = [request(text) for text in ("a", "b", "crash", "c")]
    path = program()
    made = load_synthesizer(f"command:{path}").generate(make_jobs(requests, 1))
    assert [candidate.clip is not None for candidate in made] == [True, True, False, True]
    failure = made[2].failure
    assert failure.kind is FailureKind.SYNTHESIS
    for part in ("'id-crash'", "exit status 1", "boom on id-crash"):
        assert part in failure.message
    assert [candidate.cost.retries for candidate in made] == [1, 1, 2, 2]
    assert [len(run["jobs"]) for run in journal(path)] == [4, 2, 2, 1, 1]
    seconds = [candidate.cost.generator_seconds for candidate in made]
    assert seconds == pytest.approx([seconds[0]] * 4)
    assert seconds[0] > 0


def test_a_program_that_hangs_is_ended_with_all_that_it_started(program, make_jobs):
    path = program(timeout=1.5)
    (made,) = load_synthesizer(f"command:{path}").generate(make_jobs([request("hang")], 1))
    assert made.failure.kind is FailureKind.SYNTHESIS
    assert "not finished after 1.5 s" in made.failure.message
    _assert_child_has_ended(path)


def test_what_a_program_leaves_running_ends_with_it(program, make_jobs):
    path = program()
    (made,) = load_synthesizer(f"command:{path}").generate(make_jobs([request("leave")], 1))
    assert made.clip is not None
    _assert_child_has_ended(path)


def _assert_child_has_ended(path: Path) -> None:
    child = int((path.parent / "journal.pid").read_text())
    deadline = time.monotonic() + 10
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(child)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_clip_that_is_too_long_is_cut(program, make_jobs):
    jobs = make_jobs([request("word " * 20)], 1, Sampling(max_seconds=0.5))
    (made,) = load_synthesizer(f"command:{program()}").generate(jobs)
    assert made.finish is FinishReason.LENGTH
    assert made.clip.seconds == pytest.approx(0.5)


def test_arguments_are_seen_by_no_shell(program, make_jobs, tmp_path):
    path = program(command=[sys.executable, "say.py", "{jobs}", f"; touch {tmp_path / 'pwned'}", "$(id)"])
    (made,) = load_synthesizer(f"command:{path}").generate(make_jobs([request("x")], 1))
    assert made.clip is not None
    assert not (tmp_path / "pwned").exists()


def test_the_folder_may_lie_elsewhere(program, make_jobs, tmp_path):
    (tmp_path / "there").mkdir()
    path = program(folder="there", command=[sys.executable, "../say.py", "{jobs}"])
    load_synthesizer(f"command:{path}").generate(make_jobs([request("x")], 1))
    assert journal(path)[0]["cwd"] == str((tmp_path / "there").resolve())


def test_revision_and_command_are_the_identity_and_the_timeout_is_not(program):
    def revision(**settings: object) -> str:
        return load_synthesizer(f"command:{program(**settings)}").revision

    assert revision(timeout=5) == revision()
    assert len({revision(), revision(revision="2"), revision(command=[sys.executable, "say.py", "-v", "{jobs}"])}) == 3
    assert revision().startswith("mine@1+")


def test_what_the_program_cannot_do_is_said(program):
    prompted = request("x", prompt=Prompt(audio=Clip(np.zeros(9), 9)))
    assert limit_notes(load_synthesizer(f"command:{program()}"), [prompted]) == ()
    notes = limit_notes(load_synthesizer(f"command:{program(clones=False, reproducible=False)}"), [prompted])
    assert len(notes) == 2


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"command": "python say.py {jobs}"}, "a list of arguments"),
        ({"command": ["python", "say.py"]}, "{jobs} in it"),
        ({"command": ["no-such-program", "{jobs}"]}, "no program 'no-such-program'"),
        ({"command": ["./no-such-program", "{jobs}"]}, "no program './no-such-program'"),
        ({"folder": "nowhere"}, "no folder"),
        ({"timeout": 0}, "positive number of seconds"),
        ({"revision": 1.5}, "a text in quotes"),
        ({"clones": "yes"}, "true or false"),
        ({"time_out": 5}, "Did you mean 'timeout'"),
    ],
)
def test_what_is_wrong_with_a_config_is_said(program, settings, problem):
    with pytest.raises(ConfigError) as caught:
        load_synthesizer(f"command:{program(**settings)}")
    assert problem in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_all_that_is_missing_is_said_at_once(tmp_path):
    (tmp_path / "x.yaml").write_text("timeout: 5\n")
    with pytest.raises(ConfigError) as caught:
        load_synthesizer(f"command:{tmp_path / 'x.yaml'}")
    assert len(caught.value.problems) == 4


def test_a_file_is_needed(tmp_path):
    for spec in ("command", f"command:{tmp_path / 'nowhere.yaml'}"):
        with pytest.raises(ConfigError):
            load_synthesizer(spec)


def test_a_program_that_cannot_be_started_is_a_failure(program, make_jobs):
    path = program(command=["./say.py", "{jobs}"])
    script = path.parent / "say.py"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    assert os.access(script, os.X_OK)
    (made,) = load_synthesizer(f"command:{path}").generate(make_jobs([request("x")], 1))
    assert "could not be started" in made.failure.message
