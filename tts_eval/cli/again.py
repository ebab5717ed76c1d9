"""`tts-eval again`: one clip of a run, made once more from what the run says of itself."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from tts_eval.audio import Clip, read_audio, write_audio
from tts_eval.cli.folders import local_path, read_folder
from tts_eval.cli.synth import search_one
from tts_eval.config import is_whole_pool, sampling_of
from tts_eval.errors import ConfigError, SynthesisError
from tts_eval.files import write_atomically
from tts_eval.manifest import Manifest, RequestRecord, read_manifest, read_requests
from tts_eval.records import synthesizer_identity
from tts_eval.seeds import candidate_seed
from tts_eval.store import RunStore
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import Candidate, Job

FULL_SCALE, ROUNDING = 32768, 8
"""Steps of a sample, and how many of them batches of another size make: matrices of another shape round otherwise."""


def again_command(
    run: Annotated[Path, typer.Argument(parser=read_folder, help="Folder or URL of the run.")],
    request: Annotated[str, typer.Argument(help="Id of the request.")],
    index: Annotated[int, typer.Option(min=0, help="Which candidate; a search makes its choice again.")] = 0,
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=local_path, help="File to write: .wav, .flac or .ogg.")
    ] = Path("again.wav"),
) -> None:
    """Make a clip of a run once more: same request, prompt, seed and settings; says whether it is the same audio."""
    if out.suffix.lower() not in (".wav", ".flac", ".ogg"):
        raise ConfigError([f"--out is {out}; expected a name that ends in .wav, .flac or .ogg."])
    store = RunStore.read(run)
    manifest = read_manifest(store)
    record = _record(read_requests(store), request, run)
    candidate, made_by = _made(manifest, record, index)
    if candidate.clip is None:
        raise SynthesisError(f"It failed: {candidate.failure.message if candidate.failure else 'no audio'}")
    clip = candidate.clip.quantised()
    write_atomically(out, lambda path: write_audio(path, clip))
    console = Console()
    for line in (f"wrote {out} ({clip.seconds:.2f} s)", _compared(store, manifest, record, index, clip, made_by)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _compared(store: RunStore, manifest: Manifest, record: RequestRecord, index: int, clip: Clip, made_by: str) -> str:
    """How near the clip comes to what the run has, in words."""
    rows = manifest.candidate_rows(store, record)
    row = rows[index] if index < len(rows) else None
    if row is None or not row["audio"]:
        return "the run has no such clip to compare with"
    if row["audio_sha256"] == clip.sha256:
        return "the same audio as in the run, sample by sample"
    stored = read_audio(store.folder / row["audio"])
    if stored.rate == clip.rate and len(stored.samples) == len(clip.samples):
        steps = round(float(np.abs(stored.samples - clip.samples).max()) * FULL_SCALE)
        if steps <= ROUNDING:
            return f"the same audio as in the run but for rounding: samples differ by {steps}/{FULL_SCALE} at most"
    if made_by != manifest.synthesizer:
        return f"not the same audio as in the run: {manifest.synthesizer} made that, this is {made_by}"
    return "not the same audio as in the run: another machine, other versions, or a budget that follows the clock"


def _record(records: tuple[RequestRecord, ...], wanted: str, run: Path) -> RequestRecord:
    for record in records:
        if record.request.id == wanted:
            return record
    close = difflib.get_close_matches(wanted, [record.request.id for record in records], n=1)
    hint = f" Did you mean '{close[0]}'?" if close else f" Its requests are in {run / 'requests.jsonl'}."
    raise ConfigError([f"{run} has no request '{wanted}'.{hint}"])


def _made(manifest: Manifest, record: RequestRecord, index: int) -> tuple[Candidate, str]:
    """The candidate, and NAME:REVISION of who made it."""
    config, request = manifest.config, record.request
    synthesizer = load_synthesizer(config.synth)
    if not is_whole_pool(config):
        return search_one(config, request).chosen, synthesizer_identity(synthesizer)
    job = Job(
        request=request,
        index=index,
        seed=candidate_seed(config.seed, request.id, index),
        sampling=sampling_of(config),
    )
    (candidate,) = synthesizer.generate([job])
    return candidate, synthesizer_identity(synthesizer)
