"""What the report of a large run costs, and whether its page is still pleasant.

A made-up run of the fake synthesizer (3 s clips) and two made-up recognisers is stored, reported by the
command line in a process of its own, and opened in Chromium from disk. Targets for 1,000 x 16: under 60 s
and 2 GB, a page under 15 MB without audio, first paint under 2 s, search under 100 ms. Beside it, without
audio, runs with a quarter of the candidates and with four times as many: what one more of them costs.

    python -m benchmarks.perf.report_scale
    python -m benchmarks.perf.report_scale --requests 100 --n 4 --folder /tmp/somewhere

Without playwright and Chromium the page is measured but not opened. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from reports.page import FOLDER
from tts_eval.audio import write_audio
from tts_eval.config import RunConfig, sampling_of
from tts_eval.edits import Comparison
from tts_eval.manifest import Manifest, RequestRecord, VerifierRecord, write_manifest, write_requests
from tts_eval.provenance import describe
from tts_eval.records import audio_name, candidate_key, candidate_row, score_row, synthesizer_identity
from tts_eval.records import score_key as key_of_score
from tts_eval.seeds import candidate_seed
from tts_eval.store import RunStore
from tts_eval.synthesizers.fake import FakeSynthesizer
from tts_eval.text import load_protocol
from tts_eval.types import Item, Job, Metric, Request, Score

TARGETS = {"seconds": 60.0, "peak_mb": 2048.0, "page_mb": 15.0, "first_paint_ms": 2000.0, "search_ms": 100.0}
PROTOCOL = "whisper-norm@1"
SENTENCE = (
    "harbour lights came on one by one and the evening boat was late again while nobody on the old pier knew "
    "what had kept it so long out in the grey water"
)
STRAY = ("of", "late", "tin", "shore", "never")
CHROMIUM = os.environ.get("TTS_EVAL_CHROMIUM", "/usr/bin/chromium")
FIRST_PAINT = """() => new Promise((done) => new PerformanceObserver((list) => {
    const [entry] = list.getEntriesByName("first-contentful-paint");
    if (entry) done(entry.startTime);
}).observe({ type: "paint", buffered: true }))"""


class MadeUpRecogniser:
    """Hears a few words wrong, other ones for every candidate; few enough ways that comparing them is no work."""

    name = "asr"
    version = "3"
    supports_partial = False
    metrics = (
        Metric(name="wer", higher_is_better=False, worst=1.0, unit="error-rate", protocol=PROTOCOL),
        Metric(name="likelihood", higher_is_better=True, worst=-10.0, unit="log-prob"),
        Metric(name="corpus_wer", higher_is_better=False, worst=1.0, unit="error-rate", protocol=PROTOCOL,
               ratio_of=("errors", "reference_words")),
    )  # fmt: skip

    def __init__(self, model: str, salt: int) -> None:
        self.judge = f"made-up:{model}@{salt:012x}"
        self._salt = salt

    def score(self, items: Sequence[Item]) -> list[Score]:
        """One score per item."""
        return [self._score(item) for item in items]

    def _score(self, item: Item) -> Score:
        generator = np.random.default_rng([self._salt, item.candidate.seed % 2**32])
        words = item.request.text.split()
        for place in generator.integers(len(words), size=generator.integers(4)):
            words[place] = STRAY[place % len(STRAY)]
        transcript = " ".join(words)
        comparison = _compared(item.request.text, transcript)
        alignment = [[chunk.kind, chunk.reference, chunk.hypothesis] for chunk in comparison.alignment]
        counts = comparison.counts
        return Score(
            verifier="asr", judge=self.judge, value=counts.rate, seconds=0.1,
            values={"wer": counts.rate, "corpus_wer": counts.rate, "likelihood": -float(generator.exponential()),
                    "errors": float(counts.errors), "reference_words": float(counts.reference_length)},
            details={"transcript": transcript, "alignment": json.dumps(alignment)},
        )  # fmt: skip


@lru_cache(maxsize=100_000)
def _compared(text: str, transcript: str) -> Comparison:
    return load_protocol(PROTOCOL).compare(text, transcript)


def store_run(folder: Path, *, requests: int, n: int, is_heard: bool = True) -> None:
    """A finished run in `folder`, made without models; unless it `is_heard`, its audio is one file by many names."""
    synthesizer = FakeSynthesizer()
    judges = {"asr:tiny.en": MadeUpRecogniser("tiny.en", 1), "asr:base": MadeUpRecogniser("base", 2)}
    config = RunConfig(synth="fake", n=n, verifier="asr:tiny.en#likelihood", judge=("asr:base",))
    asked = [
        Request(
            id=f"sentence-{number:04d}",
            text=" ".join(np.random.default_rng(number % 40).permutation(SENTENCE.split())),
            group=f"group {number % 5}",
            speaker=f"speaker {number % 40}",
        )
        for number in range(requests)
    ]
    with RunStore.create(folder) as store:
        write_requests(store, asked)
        write_manifest(
            store,
            Manifest(
                suite="made-up@1", synthesizer=synthesizer_identity(synthesizer), config=config, judges=("asr:base",),
                searching=("asr:tiny.en",), provenance=describe(),
                verifiers={spec: VerifierRecord.of(judge) for spec, judge in judges.items()},
            ),
        )  # fmt: skip
        (folder / "candidates/audio").mkdir(parents=True)
        for request in asked:
            _store_request(store, synthesizer, judges, config, request, is_heard=is_heard)


def _store_request(
    store: RunStore, synthesizer: FakeSynthesizer, judges: dict[str, MadeUpRecogniser], config: RunConfig,
    request: Request, *, is_heard: bool,
) -> None:  # fmt: skip
    record, sampling = RequestRecord.of(request), sampling_of(config)
    jobs = [
        Job(request=request, index=index, seed=candidate_seed(config.seed, request.id, index), sampling=sampling)
        for index in range(config.n)
    ]
    candidates, scores = [], []
    for job, made in zip(jobs, synthesizer.generate(jobs), strict=True):
        key = candidate_key(synthesizer_identity(synthesizer), request.id, record.digest, sampling, job.seed, job.index)
        clip = made.clip.quantised() if made.clip else None
        assert clip is not None
        audio = f"candidates/audio/{audio_name(job, key)}"
        path, any_clip = store.folder / audio, store.folder / "candidates" / "any.flac"
        if is_heard or not any_clip.exists():
            write_audio(path if is_heard else any_clip, clip)
        if not is_heard:
            path.hardlink_to(any_clip)
        candidate = replace(made, clip=clip)
        candidates.append(candidate_row(key, request.id, synthesizer, candidate, audio))
        for judge in judges.values():
            (score,) = judge.score([Item(request=request, candidate=candidate)])
            key = key_of_score(f"{judge.name}@{judge.version}", judge.judge, record.reference_digest, clip.sha256)
            scores.append(score_row(key, request.id, job.index, judge, score))
    store.add_candidates(candidates)
    store.add_scores(scores)


def measure_report(run: Path, audio: str) -> dict[str, float]:
    """Wall seconds, processor seconds and peak memory of `tts-eval report`, and the size of the page."""
    command = [sys.executable, "-m", "tts_eval.cli", "report", str(run), "--audio", audio]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "page_mb": (run / FOLDER / "report.html").stat().st_size / 2**20,
    }


def measure_page(page: Path) -> dict[str, float]:
    """First paint, and the slowest of some searches, in Chromium; nothing where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if not Path(CHROMIUM).exists():
        return {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(page.resolve().as_uri())
        paint = tab.evaluate(FIRST_PAINT)
        took = list(_searches(tab))
        browser.close()
    return {"first_paint_ms": paint, "search_ms": max(took), "search_median_ms": float(np.median(took))}


def _searches(tab: object) -> Iterator[float]:
    """Milliseconds from a key to the next frame's layout."""
    script = """(text) => { const field = document.getElementById("filter-text"); field.value = text;
        const began = performance.now(); field.dispatchEvent(new Event("input", { bubbles: true }));
        document.getElementById("requests").getBoundingClientRect(); return performance.now() - began; }"""
    for text in ("h", "harb", "harbour lights", "sentence-0999", "group 3", "nothing has this", ""):
        yield tab.evaluate(script, text)  # type: ignore[attr-defined]


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--folder", type=Path, help="Where the runs go, and stay; a temporary folder without it.")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    rows: dict[str, dict[str, float]] = {}
    sizes = (max(arguments.n // 4, 1), arguments.n, 4 * arguments.n)
    for n in sizes:
        run = folder / f"{arguments.requests}x{n}"
        is_heard = n == arguments.n
        if not (run / "run.json").exists():
            store_run(run, requests=arguments.requests, n=n, is_heard=is_heard)
        for audio in ("none", "embed") if is_heard else ("none",):
            row = measure_report(run, audio)
            rows[f"{arguments.requests} x {n}, audio {audio}"] = row | measure_page(run / FOLDER / "report.html")
    names = ("seconds", "cpu_seconds", "peak_mb", "page_mb", "first_paint_ms", "search_ms")
    print(f"{'':<28}" + "".join(f"{name:>16}" for name in names))
    for title, row in rows.items():
        print(f"{title:<28}" + "".join(f"{row[name]:>16.1f}" if name in row else f"{'':>16}" for name in names))
    small, large = (rows[f"{arguments.requests} x {n}, audio none"]["peak_mb"] for n in (sizes[0], sizes[-1]))
    slope = (large - small) * 1024 / (arguments.requests * (sizes[-1] - sizes[0]))
    print(f"one more candidate takes {slope:.2f} kB of memory")
    if not arguments.folder:
        shutil.rmtree(folder)
    settings = {"requests": arguments.requests, "n": arguments.n, "targets": TARGETS}
    rounded = {title: {name: round(value, 1) for name, value in row.items()} for title, row in rows.items()}
    print(json.dumps({**settings, "measured": rounded, "kb_per_candidate": round(slope, 2)}))


if __name__ == "__main__":
    main()
