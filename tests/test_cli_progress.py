import json

from tts_eval.cli import progress_lines
from tts_eval.cli.progress import Bars
from tts_eval.cli.progress_lines import Lines, ProgressKind, show


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_lines_say_how_far_a_phase_is_and_what_waits(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_lines.time, "monotonic", lambda: now[0])
    with Lines() as said:
        said.start("generate", 8)
        now[0] += 2
        said.advance("generate", 2)
        said.waiting("generate", 3)
        now[0] += 0.5
        said.advance("generate", 2)  # within the second: it is counted, and said later
        now[0] += 1.5
        said.advance("generate", 2)
        said.advance("generate", 0)
        said.advance("generate", 2)
    first, second, last = lines(capsys.readouterr().err)
    assert first == {
        "phase": "generate", "done": 2, "total": 8, "waiting": 0, "per_second": 1.0, "seconds_left": 6.0
    }  # fmt: skip
    assert (second["done"], second["waiting"], second["per_second"]) == (6, 3, 1.5)
    assert (last["done"], last["seconds_left"]) == (8, 0.0)


def test_a_phase_that_begins_anew_counts_anew(capsys):
    with Lines() as said:
        for _ in range(2):
            said.start("judge", 1)
            said.advance("judge", 1)
    assert [line["done"] for line in lines(capsys.readouterr().err)] == [1, 1]


def test_the_flag_chooses():
    assert type(show(ProgressKind.JSON)) is Lines
    assert type(show(ProgressKind.BARS)) is Bars
