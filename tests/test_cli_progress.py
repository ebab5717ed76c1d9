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
    assert (second["done"], second["waiting"], second["per_second"]) == (6, 3, 2.0)
    assert (last["done"], last["seconds_left"], last["per_second"]) == (8, 0.0, 2.0)


def test_a_phase_that_begins_anew_counts_anew(capsys):
    with Lines() as said:
        for _ in range(2):
            said.start("judge", 1)
            said.advance("judge", 1)
    assert [line["done"] for line in lines(capsys.readouterr().err)] == [1, 1]


def test_unasked_a_long_phase_is_told_every_ten_seconds_and_a_short_one_not(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_lines.time, "monotonic", lambda: now[0])
    with show(ProgressKind.BARS) as said:
        said.start("short", 2)
        said.advance("short", 2)
        said.start("generate", 1000)
        said.advance("generate", 500)  # was there already
        for _ in range(41):
            now[0] += 0.5
            said.advance("generate", 2)
        said.advance("generate", 418)
    first, second, last = lines(capsys.readouterr().err)
    assert [line["done"] for line in (first, second, last)] == [540, 580, 1000]
    assert (second["per_second"], second["seconds_left"]) == (4.0, 105.0)
    assert last["phase"] == "generate"


def test_a_phase_in_which_nothing_gets_done_is_told_too(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_lines.time, "monotonic", lambda: now[0])
    with show() as said:
        said.start("judge", 8)
        for _ in range(25):
            now[0] += 0.5
            said.waiting("judge", 7)
    (line,) = lines(capsys.readouterr().err)
    assert (line["done"], line["waiting"], line["seconds_left"]) == (0, 7, None)


def test_the_flag_chooses(monkeypatch):
    for kind, is_terminal, expected in (
        (ProgressKind.JSON, True, Lines),
        (ProgressKind.JSON, False, Lines),
        (ProgressKind.BARS, True, Bars),
        (ProgressKind.BARS, False, Lines),
    ):
        monkeypatch.setattr(progress_lines.sys.stderr, "isatty", lambda answer=is_terminal: answer, raising=False)
        assert type(show(kind)) is expected
