"""The codec's row of the scale: made once, judged by the run's judges, and shown with what the others are."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import scale
from benchmarks.rescore import add_judges
from benchmarks.runner import run
from benchmarks.scale import add_resyntheses
from benchmarks.suite import Suite, suites
from reports.read_run import read_run
from reports.scale_table import scale_table
from reports.summary import summarise
from tts_eval.audio import Clip, read_audio, write_audio
from tts_eval.config import RunConfig
from tts_eval.errors import ConfigError, DataError, StoreError
from tts_eval.store import RunStore
from tts_eval.synthesizers.codec import Reference
from tts_eval.synthesizers.codec_resynthesis import CodecResynthesis
from tts_eval.types import Candidate, FinishReason, Item, Request, Sampling
from verifiers import load_verifier

RATE = 16_000
CONFIG = RunConfig(synth="fake", n=4, verifier="fake", judge=("fake:2",))


class Quieter:
    """A codec whose latents are the samples, and whose decoder loses a factor."""

    rate, hop, codes, context, is_local = RATE, 1, 0, 0, True

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.encoded = 0

    def encode(self, clip: Clip) -> Reference:
        self.encoded += 1
        return Reference(torch.from_numpy(clip.at(RATE).copy())[:, None])

    def decode(self, frames, references):
        return frames[..., 0] * self.factor


@pytest.fixture
def codecs(monkeypatch) -> dict[str, Quieter]:
    known = {"half": Quieter(0.5), "third": Quieter(1 / 3)}
    monkeypatch.setattr(
        scale, "load_synthesizer", lambda spec: CodecResynthesis(known[spec.partition(":")[2]], spec.partition(":")[2])
    )
    return known


@pytest.fixture
def recorded(monkeypatch, tmp_path: Path) -> Path:
    """A finished run of four requests: two with a recording, one with one that cannot be read, one without."""
    time = np.arange(RATE) / RATE
    for number in range(2):
        tone = 0.5 * np.sin(2 * np.pi * (200 + 150 * number) * time) * (time < 0.5 + 0.25 * number)
        write_audio(tmp_path / f"truth-{number}.flac", Clip(tone.astype(np.float32), RATE))
    whole = (tmp_path / "truth-1.flac").read_bytes()
    (tmp_path / "truth-2.flac").write_bytes(whole[:200])  # its header is sound
    requests = [Request(id=f"r{i}", text="one two", ground_truth=tmp_path / f"truth-{i}.flac") for i in range(3)]
    requests.append(Request(id="r3", text="one two"))
    suite = Suite(name="recorded@1", requests=tuple(requests), judges=("fake:2",))
    monkeypatch.setitem(suites._objects, "mini", lambda **settings: suite)
    run(CONFIG, tmp_path / "run")
    return tmp_path / "run"


def rows_of(folder: Path) -> dict[str, list[tuple[str, str]]]:
    table = scale_table(summarise(read_run(folder)))
    return {row[0].text: [(cell.text, cell.detail.splitlines()[-1]) for cell in row[1:]] for row in table.rows}


def test_what_the_codec_gives_back_is_judged_by_every_judge_of_the_run(recorded: Path, codecs):
    add_resyntheses(recorded, "half")
    results = read_run(recorded)
    for metric in results.metrics:
        verifier = load_verifier(metric.verifier_key)
        for number, request in enumerate(results.requests[:2]):
            row = next(
                row
                for row in RunStore.read(recorded).candidates.values()
                if row["request_id"] == request.id and row["synthesizer"] == "codec-resynthesis:half"
            )
            clip, truth = read_audio(recorded / row["audio"]), read_audio(recorded.parent / f"truth-{number}.flac")
            np.testing.assert_allclose(clip.samples, truth.samples / 2, atol=1e-4)
            assert request.resynthesis.value(metric) == verifier.score([item_of(request.id, clip)])[0].value
        unreadable, without = results.requests[2:]
        assert unreadable.resynthesis.value(metric) == metric.metric.worst
        assert without.resynthesis is None
    assert all(len(request.candidates) == 4 for request in results.requests)


def item_of(name: str, clip: Clip) -> Item:
    candidate = Candidate(index=0, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=clip)
    return Item(request=Request(id=name, text="one two"), candidate=candidate)


def test_every_row_has_its_number_and_what_it_rests_on(recorded: Path, codecs):
    add_resyntheses(recorded, "half")
    rows = rows_of(recorded)
    assert list(rows) == [
        "Ground truth", "Codec resynthesis", "One sample", "Random of 4", "Chosen of 4", "Oracle of 4",
    ]  # fmt: skip
    assert [n for _, n in rows["Ground truth"]] == [n for _, n in rows["Codec resynthesis"]] == ["2/4", "2/4"]
    assert all(n == "4/4" for label in list(rows)[2:] for _, n in rows[label])

    results = read_run(recorded)
    for column, metric in enumerate(results.metrics):
        values = np.array([[one.value(metric) for one in request.candidates] for request in results.requests])
        chosen = [request.chosen.value(metric) for request in results.requests]
        codec = [request.resynthesis.value(metric) for request in results.requests[:3]]
        for label, expected in {
            "Codec resynthesis": np.mean(codec),
            "One sample": values[:, 0].mean(),
            "Random of 4": values.mean(),
            "Chosen of 4": np.mean(chosen),
            "Oracle of 4": values.min(axis=1).mean(),
        }.items():
            shown = float(rows[label][column][0].removesuffix(" %"))
            assert shown == pytest.approx(expected * (100 if metric.metric.is_rate else 1), abs=0.006), label


def test_it_is_made_once_and_another_codec_takes_its_place(recorded: Path, codecs):
    before = rows_of(recorded)
    assert "Codec resynthesis" not in before
    assert "tts-eval scale" in scale_table(summarise(read_run(recorded))).notes[-1]
    add_resyntheses(recorded, "half")
    first = rows_of(recorded)
    parts = sorted(recorded.rglob("*.parquet"))
    add_resyntheses(recorded, "half")
    assert codecs["half"].encoded == 2
    assert sorted(recorded.rglob("*.parquet")) == parts
    assert rows_of(recorded) == first
    add_resyntheses(recorded, "third")
    assert summarise(read_run(recorded)).codec == "codec-resynthesis:third"
    add_resyntheses(recorded, "half")
    assert (codecs["half"].encoded, codecs["third"].encoded) == (2, 2)
    assert rows_of(recorded) == first


def test_the_run_goes_on_with_it_and_later_judges_hear_it(recorded: Path, codecs):
    add_resyntheses(recorded, "half")
    add_judges(recorded, ["fake:3"])
    run(replace(CONFIG, n=6), recorded)
    rows = rows_of(recorded)
    assert [n for _, n in rows["Codec resynthesis"]] == ["2/4"] * 3
    assert "Chosen of 6" in rows
    run(replace(CONFIG, judge=("fake:4",)), recorded)
    table = scale_table(summarise(read_run(recorded)))
    assert [one for one in table.notes if "fake:4 has judged no resynthesis" in one]
    add_resyntheses(recorded, "half")
    assert {n for _, n in rows_of(recorded)["Codec resynthesis"]} == {"2/4"}


def test_a_recording_that_is_no_longer_the_same_is_named(recorded: Path, codecs):
    write_audio(recorded.parent / "truth-1.flac", Clip(np.full(RATE, 0.1, np.float32), RATE))
    (recorded.parent / "truth-0.flac").unlink()
    with pytest.raises(DataError, match=r"(?s)not as the run was given.*'r0': .*truth-0.flac\n'r1': .*truth-1.flac"):
        add_resyntheses(recorded, "half")
    assert codecs["half"].encoded == 0


def test_a_judge_that_is_no_longer_the_same_is_named(recorded: Path, codecs):
    record = json.loads((recorded / "run.json").read_text())
    record["verifiers"]["fake:2"]["judge"] = "another checkpoint"
    (recorded / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r"judged by .*another checkpoint.*tts-eval score RUN --judge fake:2"):
        add_resyntheses(recorded, "half")
    add_judges(recorded, ["fake:2"])
    add_resyntheses(recorded, "half")


def test_a_verifier_that_chose_and_is_no_longer_the_same_cannot_be_asked_again(recorded: Path, codecs):
    record = json.loads((recorded / "run.json").read_text())
    record["verifiers"]["fake"]["judge"] = "another checkpoint"
    (recorded / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r"judged by .*another checkpoint.*make a new run") as caught:
        add_resyntheses(recorded, "half")
    assert "tts-eval score" not in str(caught.value)


def test_without_recordings_there_is_nothing_to_do(monkeypatch, tmp_path: Path, codecs):
    run(replace(CONFIG, limit=2), tmp_path / "run")
    with pytest.raises(ConfigError, match="brings no recordings"):
        add_resyntheses(tmp_path / "run", "half")
    table = scale_table(summarise(read_run(tmp_path / "run")))
    assert [row[0].text for row in table.rows] == ["One sample", "Random of 4", "Chosen of 4", "Oracle of 4"]
    assert "no recordings" in table.notes[-1]
    with pytest.raises(StoreError, match="not a run"):
        add_resyntheses(tmp_path / "nothing", "half")
    assert not (tmp_path / "nothing").exists()
