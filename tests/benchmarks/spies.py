"""A worker's models that note beside the run folder on which node they made and heard what."""

from collections.abc import Sequence
from pathlib import Path

import ray

from benchmarks.stage import Made, Stage
from tts_eval.store import Row
from tts_eval.types import Job, Request


class NotingStage(Stage):
    def generate(self, jobs: Sequence[Job], spec: str, folder: str) -> list[Made]:
        note(folder, "made", [f"{job.request.id} {job.index}" for job in jobs])
        return super().generate(jobs, spec, folder)

    def judge(self, items: Sequence[tuple[Request, Row]], specs: Sequence[str], folder: str) -> list[Made | None]:
        note(folder, "heard", [f"{request.id} {row['index']}" for request, row in items])
        return super().judge(items, specs, folder)


def note(folder: str, verb: str, candidates: Sequence[str]) -> None:
    path = Path(folder).parent / f"{verb}-{ray.get_runtime_context().get_node_id()}"
    with path.open("a") as file:
        file.write("".join(f"{candidate}\n" for candidate in candidates))


def noted(folder: Path, verb: str) -> dict[str, str]:
    """Node by candidate."""
    notes = {}
    for path in folder.glob(f"{verb}-*"):
        for candidate in path.read_text().splitlines():
            assert candidate not in notes, f"{candidate} was {verb} twice"
            notes[candidate] = path.name.partition("-")[2]
    return notes
