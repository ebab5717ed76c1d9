"""What workers give and cost: equality with a serial run, overhead, and a hundred thousand candidates.

    python -m benchmarks.perf.scaling [--candidates 100000] [--real]

Prints a table and ends with one JSON line. `--real` adds piper and Whisper, with as many threads in all as the
serial run has. On a machine that others use too, look at the processor seconds beside the wall seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas
import yaml

from benchmarks.executors import open_models
from benchmarks.models import Models
from benchmarks.runner import run
from benchmarks.suite import Suite, suites
from reports.frame import MEASURED_TIME, results_frame
from reports.read_run import read_run
from tts_eval.config import RunConfig
from tts_eval.execution import available_cores
from tts_eval.types import Request

FAKES = RunConfig(suite="scaling", synth="fake", n=100, verifier="fake", judge=("fake",))


@dataclass(slots=True)
class Measured:
    """A stretch of work."""

    wall: float = 0.0
    driver_processor: float = 0.0
    driver_megabytes: float = 0.0
    """The most this process has ever had."""


@contextmanager
def measured() -> Iterator[Measured]:
    """Fills in what is spent in its body."""
    result = Measured()
    started, processor = time.perf_counter(), time.process_time()
    yield result
    result.wall = time.perf_counter() - started
    result.driver_processor = time.process_time() - processor
    result.driver_megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def on_ray(config: RunConfig, folder: Path, workers: int, threads: int = 1) -> RunConfig:
    """The same with so many workers, which Ray may place on any number of cores."""
    path = folder / f"workers-{workers}.yaml"
    cpus = min(1.0, available_cores() / workers)
    path.write_text(yaml.safe_dump({"rest": {"actors": workers, "cpus": cpus, "threads": threads}}))
    return replace(config, executor="ray", resources=str(path))


def offer(requests: int) -> None:
    """Make the suite of so many short requests that FAKES names."""
    made = tuple(Request(id=f"r{number:05d}", text="one two") for number in range(requests))
    suites._objects["scaling"] = lambda **settings: Suite(name="scaling@1", requests=made, judges=("fake",))


def equality(folder: Path, workers: Sequence[int]) -> dict[str, bool]:
    """Whether results and audio are those of a serial run, by number of workers."""
    offer(20)
    config = replace(FAKES, n=16)
    run(config, folder / "serial")
    same = {}
    for count in workers:
        run(on_ray(config, folder, count), folder / f"ray-{count}")
        same[str(count)] = _results(folder / "serial").equals(_results(folder / f"ray-{count}")) and (
            _audio(folder / "serial") == _audio(folder / f"ray-{count}")
        )
    return same


def efficiency(folder: Path, workers: Sequence[int], seconds: float = 0.01) -> dict[str, float]:
    """Serial wall seconds / workers / wall seconds with them, of fakes that take so long; workers are there already."""
    requests = 40
    offer(requests)
    config = replace(FAKES, synth=f"fake:{seconds}", n=25)
    with measured() as serial:
        run(config, folder / "serial-slow")
    per_candidate = serial.wall / (requests * config.n)
    found = {}
    for count in workers:
        settings = replace(on_ray(config, folder, count), n=25 * count)
        with open_models([settings]) as models:
            run(replace(settings, seed=1), folder / f"warm-{count}", None, models)
            with measured() as parallel:
                run(settings, folder / f"slow-{count}", None, models)
        found[str(count)] = per_candidate * requests * settings.n / count / parallel.wall
    return found


def many(folder: Path, candidates: int) -> dict[str, float]:
    """A large run of fakes: candidates a second, memory of this process, and how long doing it again takes."""
    offer(candidates // FAKES.n)
    config = on_ray(FAKES, folder, available_cores())
    with open_models([config]) as models:
        warm = replace(config, n=1, seed=1)
        run(warm, folder / "warm", None, models)
        with measured() as first:
            run(config, folder / "many", None, models)
        with measured() as again:
            run(config, folder / "many", None, models)
    return {
        "candidates": candidates,
        "per_second": candidates / first.wall,
        "driver_processor_seconds": first.driver_processor,
        "driver_megabytes": again.driver_megabytes,
        "resume_seconds": again.wall,
    }


def real(folder: Path, requests: int = 12) -> dict[str, float]:
    """Best-of-8 of piper, judged by Whisper, with every core: wall seconds serially and with a worker a core."""
    config = RunConfig(synth="piper", n=8, limit=requests, verifier="asr:tiny.en", judge=("asr:tiny.en",))
    result = {}
    for name, settings in (("serial", config), ("ray", on_ray(config, folder, available_cores()))):
        with open_models([settings]) as models:
            _warm(settings, folder / f"warm-real-{name}", models)
            before = _children_seconds()
            with measured() as part:
                run(settings, folder / f"real-{name}", None, models)
            result[f"{name}_seconds"] = part.wall
            result[f"{name}_processor_seconds"] = part.driver_processor + _children_seconds() - before
    result["speed_up"] = result["serial_seconds"] / result["ray_seconds"]
    result["same_audio"] = float(_audio(folder / "real-serial") == _audio(folder / "real-ray"))
    return result


def _warm(config: RunConfig, folder: Path, models: Models) -> None:
    run(replace(config, seed=1, limit=2), folder, None, models)


def _children_seconds() -> float:
    """Processor seconds of every live process below this one."""
    from benchmarks.perf.small_cluster import descendants

    ticks = 0
    for pid, _ in descendants(os.getpid()):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _results(folder: Path) -> pandas.DataFrame:
    return results_frame(read_run(folder)).drop(columns=list(MEASURED_TIME))


def _audio(folder: Path) -> dict[str, str]:
    files = (folder / "candidates/audio").iterdir()
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    suites.add("scaling", "benchmarks.suite:Suite", "short requests")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record: dict[str, object] = {"cores": available_cores()}
        parts: dict[str, Callable[[], Mapping[str, object]]] = {
            "equal": lambda: equality(folder, (1, 2, 4)),
            "efficiency": lambda: efficiency(folder, (2, 8)),
            "many": lambda: many(folder, options.candidates),
            **({"real": lambda: real(folder)} if options.real else {}),
        }
        for part, measure in parts.items():
            found = measure()
            for key, value in found.items():
                shown = f"{value:.4g}" if isinstance(value, float) else value
                print(f"{part:12} {key:28} {shown}", flush=True)
            record[part] = found
    print(json.dumps(record))


if __name__ == "__main__":
    main()
