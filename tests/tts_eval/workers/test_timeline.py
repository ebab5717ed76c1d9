import json
from pathlib import Path

import pytest

from tts_eval.errors import StoreError
from tts_eval.workers.timeline import FILE, LOADING, LOST, Span, Timeline, loading_seconds

SPANS = [
    Span("synth", "synth-1", LOADING, 1000.0, 2.0, 0),
    Span("synth", "synth-1", "generate", 1002.5, 0.25, 16),
    Span("rest", "rest-1", "judge", 1003.0, 1.5, 64),
    Span("rest", "rest-1", LOADING, 1000.5, 1.0, 0),
    Span("rest", "rest-1", LOADING, 1001.5, 0.5, 0),
    Span("rest", "rest-1", LOST, 1005.0, 0.0, 0),
]


@pytest.fixture
def timeline() -> Timeline:
    made = Timeline()
    for span in SPANS:
        made.add(span)
    return made


def test_events_say_who_did_what_when(timeline, tmp_path: Path):
    timeline.write(tmp_path / "report")
    record = json.loads((tmp_path / "report" / FILE).read_text())
    names = {
        (event["name"], event["pid"], event["tid"]): event["args"]["name"]
        for event in record["traceEvents"]
        if event["ph"] == "M"
    }
    found = [
        Span(
            names["process_name", event["pid"], 0],
            names["thread_name", event["pid"], event["tid"]],
            event["name"],
            record["otherData"]["start"] + event["ts"] / 1e6,
            event["dur"] / 1e6,
            event["args"]["items"],
        )
        for event in record["traceEvents"]
        if event["ph"] == "X"
    ]
    assert found == sorted(SPANS, key=lambda span: span.started)
    assert min(event["ts"] for event in record["traceEvents"] if event["ph"] == "X") == 0


def test_loading_is_summed_by_worker(timeline, tmp_path: Path):
    timeline.write(tmp_path)
    assert sorted(loading_seconds(tmp_path)) == [1.5, 2.0]
    assert loading_seconds(tmp_path / "nowhere") == []


def test_workers_that_only_got_ready_leave_what_is_there(tmp_path: Path):
    (tmp_path / FILE).write_text("before")
    idle = Timeline()
    idle.add(SPANS[0])
    idle.write(tmp_path)
    assert (tmp_path / FILE).read_text() == "before"
    with pytest.raises(StoreError, match="is no timeline"):
        loading_seconds(tmp_path)
