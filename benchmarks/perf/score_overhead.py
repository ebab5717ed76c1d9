"""What `tts-eval score` takes for a folder of clips beyond its models, and that it grows no faster than their number.

Clips of a second, judged by the verifier without a model: what is left is reading, hashing and storing audio, keeping
scores, and reading them back for the report's numbers. The target is 2 ms a clip for the judging, at every size.

    python -m benchmarks.perf.score_overhead

Wall and processor milliseconds a clip. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.runner import run
from reports.read_run import read_run
from reports.summary import summarise
from tts_eval.audio import Clip, write_audio
from tts_eval.config import RunConfig

RATE = 16_000
TARGET_MS = 2.0


def main() -> None:
    """Measure every size in a folder of its own, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 1000, 10_000], help="sizes")
    sizes = parser.parse_args().clips
    measure(16)  # imports
    rows = []
    print(f"{'clips':>8} {'judging':>10} {'(cpu)':>10} {'reading':>10} {'(cpu)':>10}   ms a clip")
    for size in sizes:
        row = measure(size)
        rows.append(row)
        numbers = " ".join(
            f"{row[name]:>10.2f}" for name in ("judging_ms", "judging_cpu_ms", "reading_ms", "reading_cpu_ms")
        )
        print(f"{size:>8,} {numbers}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worst = max(row["judging_ms"] for row in rows)
    print(f"\nmost for judging: {worst:.2f} ms a clip (target {TARGET_MS:g}); peak of memory {peak:,.0f} MB")
    print(json.dumps({"sizes": rows, "target_ms": TARGET_MS, "peak_mb": peak}))


def measure(size: int) -> dict[str, float]:
    """Milliseconds a clip, for a new folder of `size` clips."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_clips(folder, size)
        config = RunConfig(
            suite=f"list:{folder / 'meta.lst'}", synth=f"wavs:{folder / 'wavs'}", n=1, verifier="fake", judge=("fake",)
        )
        out = folder / "run"
        judging = _timed(lambda: run(config, out))
        reporting = _timed(lambda: summarise(read_run(out)))
    names = ("judging_ms", "judging_cpu_ms", "reading_ms", "reading_cpu_ms")
    return {
        "clips": size,
        **{name: 1000 * spent / size for name, spent in zip(names, judging + reporting, strict=True)},
    }


def make_clips(folder: Path, size: int) -> None:
    """`size` clips, no two the same, and the list that says what they say."""
    (folder / "wavs").mkdir()
    (folder / "prompt.wav").touch()
    time_axis = np.arange(RATE) / RATE
    for number in range(size):
        samples = 0.3 * np.sin(2 * np.pi * (200 + 0.01 * number) * time_axis)
        write_audio(folder / "wavs" / f"{number}.wav", Clip(samples.astype(np.float32), RATE))
    lines = [
        f"{number}|words of the prompt|prompt.wav|ten words make up one second of this made up speech\n"
        for number in range(size)
    ]
    (folder / "meta.lst").write_text("".join(lines), encoding="utf-8")


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
