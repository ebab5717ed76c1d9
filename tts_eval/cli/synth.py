"""`tts-eval synth`: one text, N candidates, the best one in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.checks import check_budget, check_config
from search.budget import parse_budget
from search.remembering import selecting_verifier
from search.rule_text import load_rule
from search.strategy import SearchResult, load_strategy
from tts_eval.audio import read_audio, write_audio
from tts_eval.config import RunConfig, parse_config, sampling_of
from tts_eval.errors import ConfigError, SynthesisError
from tts_eval.files import write_atomically
from tts_eval.language import language_of
from tts_eval.limits import limit_notes
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import Candidate, FailureKind, FinishReason, Prompt, Request, Score
from verifiers.requirements import load_verifiers, require_judgeable

DEFAULTS = RunConfig()


def synth_command(
    text: Annotated[str, typer.Argument(help="What to say.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .wav, .flac or .ogg.")] = Path("out.wav"),
    synth: Annotated[str, typer.Option(help="Who says it: NAME or NAME:ARGUMENT.")] = DEFAULTS.synth,
    n: Annotated[int, typer.Option("--n", help="Candidates to choose from.")] = DEFAULTS.n,
    verifier: Annotated[str, typer.Option(help="Selection rule.")] = DEFAULTS.verifier,
    strategy: Annotated[str, typer.Option(help="How the budget is spent.")] = DEFAULTS.strategy,
    then: Annotated[
        str, typer.Option(help="Rule that chooses among what a guided search leaves; empty is the same.")
    ] = DEFAULTS.then,
    budget: Annotated[str, typer.Option(help="Most to spend: 4e5-tokens, 2e13-flops, 30-seconds.")] = DEFAULTS.budget,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = DEFAULTS.temperature,
    top_p: Annotated[
        float, typer.Option(help="Draw from the likeliest tokens with this probability.")
    ] = DEFAULTS.top_p,
    top_k: Annotated[int, typer.Option(help="Draw from so many likeliest tokens; 0 is all.")] = DEFAULTS.top_k,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1, said tokens become less likely.")
    ] = DEFAULTS.repetition_penalty,
    max_seconds: Annotated[float, typer.Option(help="Longest candidate.")] = DEFAULTS.max_seconds,
    seed: Annotated[int, typer.Option(help="All randomness follows from it.")] = DEFAULTS.seed,
    language: Annotated[str, typer.Option(help="Language of the text; default: by its script, en for Latin.")] = "",
    prompt: Annotated[Path | None, typer.Option(help="Reference audio, for voices that clone.")] = None,
    prompt_text: Annotated[str | None, typer.Option(help="What the reference audio says.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> None:
    """Say TEXT: make N candidates, keep the one that the verifiers like best."""
    problems = []
    if out.suffix.lower() not in (".wav", ".flac", ".ogg"):
        problems.append(f"--out is {out}; expected a name that ends in .wav, .flac or .ogg.")
    if not text.strip():
        problems.append("TEXT is empty; expected something to say.")
    if out.is_dir() or not _can_be_made(out):
        problems.append(f"--out is {out}, which cannot be written; expected a file in a folder of yours.")
    if prompt_text and not prompt:
        problems.append("--prompt-text says what --prompt says, and there is no --prompt.")
    if problems:
        raise ConfigError(problems)
    config = parse_config(
        {
            "synth": synth,
            "n": n,
            "verifier": verifier,
            "strategy": strategy,
            "then": then,
            "budget": budget,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "repetition_penalty": repetition_penalty,
            "max_seconds": max_seconds,
            "seed": seed,
        }
    )
    audio = read_audio(prompt) if prompt else None  # now, not when the first voice or judge wants it
    reference = Prompt(audio=audio, transcript=prompt_text) if prompt or prompt_text else None
    result = search_one(
        config, Request(id="synth", text=text, language=language or language_of(text), prompt=reference)
    )
    clip = result.chosen.clip
    if clip is None:
        failure = result.chosen.failure
        raise SynthesisError(f"No candidate could be made: {failure.message if failure else 'no audio'}")
    unjudged = result.scores[result.chosen.index].failure
    if unjudged is not None and unjudged.kind is not FailureKind.UNDECIDED:  # the only candidate needs no choice
        raise SynthesisError(
            f"No candidate could be judged by '{verifier}': {unjudged.message} Use another --verifier."
        )
    write_atomically(out, lambda path: write_audio(path, clip))
    console = Console(stderr=as_json)
    console.print(_table(result))
    if result.cost.spared_calls:
        spared = f"spared {result.cost.spared_calls} verifier calls, about {result.cost.spared_seconds:.2f} s"
        console.print(f"the cascade {spared}", markup=False, highlight=False)
    console.print(f"wrote {out} ({clip.seconds:.2f} s)", markup=False, highlight=False, soft_wrap=True)
    if result.chosen.finish is FinishReason.LENGTH:
        Console(stderr=True).print(
            "warning: the text was not finished when it was cut, by --max-seconds, --budget or the model's own limits",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if as_json:
        typer.echo(json.dumps(_record(result, out), allow_nan=False))


def search_one(config: RunConfig, request: Request) -> SearchResult:
    """The search of `config` on one request, in memory."""
    check_config(config)
    check_budget(config, [request])
    rules = [load_rule(text) for text in (config.verifier, *filter(None, [config.then]))]
    loaded = load_verifiers(spec for rule in rules for spec in rule.verifiers)
    require_judgeable(loaded, [request])
    outcome, *then = [selecting_verifier(rule, loaded) for rule in rules]
    strategy = load_strategy(
        config.strategy, sampling=sampling_of(config), run_seed=config.seed, then=then[0] if then else None
    )
    synthesizer = load_synthesizer(config.synth)
    for note in limit_notes(synthesizer, [request]):
        Console(stderr=True).print(f"warning: {note}", markup=False, highlight=False, soft_wrap=True)
    return next(iter(strategy.search([request], synthesizer, outcome, parse_budget(config.budget, config.n))))


def _can_be_made(out: Path) -> bool:
    """Whether the nearest folder above `out` that exists is one, and can be written to."""
    nearest = next(parent for parent in out.absolute().parents if parent.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK)


def _table(result: SearchResult) -> Table:
    table = Table("candidate", "seconds", "selection score", "note")
    for candidate, score, rank in zip(result.candidates, result.scores, result.ranks, strict=True):
        table.add_row(
            str(candidate.index),
            f"{candidate.clip.seconds:.2f}" if candidate.clip else "n/a",
            "n/a" if score.value is None else f"{score.value:.3f}",
            ", ".join(_notes(candidate, score, is_chosen=rank == 0)),
        )
    return table


def _notes(candidate: Candidate, score: Score, *, is_chosen: bool) -> list[str]:
    """What there is to say of a candidate: chosen, what failed, whether it was cut."""
    failure = candidate.failure or (None if is_chosen else score.failure)
    notes = ["chosen"] if is_chosen else []
    notes += [failure.kind.value] if failure else []
    return notes + ([FinishReason.LENGTH.value] if candidate.finish is FinishReason.LENGTH else [])


def _record(result: SearchResult, out: Path) -> dict[str, object]:
    clip = result.chosen.clip
    return {
        "out": str(out),
        "seconds": clip.seconds if clip else None,
        "chosen": result.chosen.index,
        "seed": result.chosen.seed,
        "selection_scores": [score.value for score in result.scores],
        "failures": [
            (failure.kind.value if (failure := candidate.failure or score.failure) else None)
            for candidate, score in zip(result.candidates, result.scores, strict=True)
        ],
        "finish": [candidate.finish.value for candidate in result.candidates],
        "generator_seconds": result.cost.generator_seconds,
        "verifier_seconds": result.cost.verifier_seconds,
        "spared_calls": result.cost.spared_calls,
        "spared_seconds": result.cost.spared_seconds,
    }
