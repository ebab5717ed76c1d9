"""Process search: candidates are judged, kept, dropped and expanded while they are being said.

    begin -> [ advance -> hear -> judge -> keep -> expand ] ... -> let the rest go on freely -> choose

`Guidance` says how; beam search, partial PRM, DVTS, SMC and early rejection are settings of it. All
beams of all requests in a batch make a step together: one call of the generator, one of the verifier.
A beam that has ended stays in competition, and costs nothing more. Everything random follows from
the run seed, the request and the number of the step; who shares the batch does not matter.

What a request spends is what its rows added to their own cost, step by step, so a prefix that beams
share counts once and dropped beams count too. When the budget nears its end a request goes on with
fewer rows; what is left at the end of it is cut.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from search.beams import Beam, Guidance, Hunt, affordable, model_steps, number_rows
from search.budget import Budget
from search.selection import ranks
from search.strategy import SearchResult, is_absolute, merits
from search.trace import note_choice
from tts_eval.errors import ConfigError, SynthesisError, TTSEvalError
from tts_eval.execution import batched
from tts_eval.seeds import candidate_seed, forked_seed, generator
from tts_eval.synthesizers.failed import failed_candidate
from tts_eval.types import (
    Candidate,
    Cost,
    FailureKind,
    FinishReason,
    Generation,
    Item,
    Job,
    Request,
    Sampling,
    StepSynthesizer,
    Synthesizer,
    Verifier,
    as_step_synthesizer,
)

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 256
"""Beams that are judged together at most; bounds the audio in memory, and lets requests share calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSearch:
    """The engine of every strategy that guides unfinished candidates."""

    guidance: Guidance
    sampling: Sampling
    run_seed: int
    then: Verifier | None = None
    """Chooses among the finished candidates; None leaves that to the verifier that guides."""

    def search(
        self, requests: Sequence[Request], synthesizer: Synthesizer, verifier: Verifier, budget: Budget
    ) -> Iterator[SearchResult]:
        """One result per request, in order.

        Raises:
            ConfigError: the synthesizer has no steps, or the verifier cannot judge what is not finished.
        """
        steps = checked(synthesizer, verifier)
        fitted = replace(self, guidance=self.guidance.with_steps_of(steps.step_seconds))
        rows = min(ROWS_AT_ONCE, steps.most_rows)
        for chunk in batched(requests, max(rows // (self.guidance.width * self.guidance.trees), 1)):
            yield from fitted._found(chunk, steps, verifier, budget, [Cost()] * len(chunk))

    def _found(
        self,
        requests: Sequence[Request],
        steps: StepSynthesizer,
        verifier: Verifier,
        budget: Budget,
        lost: Sequence[Cost],
    ) -> Iterator[SearchResult]:
        """One generation for all requests; when one of them breaks it, halves find out which.

        Seeds say the same again. What a broken generation has cost so far, `lost`, is part of each request's
        price, but does not shorten its search: that would then depend on who shared the batch.
        """
        hunts = [self._hunt(request, steps.step_seconds, budget) for request in requests]
        try:
            _Batch(self, hunts, steps.begin(self._jobs(hunts)), steps.step_seconds, verifier, budget).run()
            broken = ""
        except Exception as error:  # models raise whatever they like; the request is named in the result
            if isinstance(error, TTSEvalError) and not isinstance(error, SynthesisError):
                raise
            broken = f"{type(error).__name__}: {error}"
        # Beyond the handler, so that a generation for which there was no memory is gone when its halves begin.
        if not broken:
            yield from (_result(hunt, before) for hunt, before in zip(hunts, lost, strict=True))
        elif len(requests) == 1:
            failed = self._hunt(requests[0], steps.step_seconds, budget)
            yield self._failed(failed, broken, verifier, lost[0] + hunts[0].cost)
        else:
            logger.warning("a search of %d requests broke off (%s); going on with halves", len(requests), broken)
            middle = len(requests) // 2
            lost = [before + hunt.cost + Cost(retries=1) for hunt, before in zip(hunts, lost, strict=True)]
            yield from self._found(requests[:middle], steps, verifier, budget, lost[:middle])
            yield from self._found(requests[middle:], steps, verifier, budget, lost[middle:])

    def _jobs(self, hunts: Sequence[Hunt]) -> list[Job]:
        number_rows(hunts)
        return [
            Job(request=hunt.request, index=b.candidate.index, seed=b.candidate.seed, sampling=self.sampling)
            for hunt in hunts
            for b in hunt.beams
        ]

    def _hunt(self, request: Request, step_seconds: float, budget: Budget) -> Hunt:
        trees = self.guidance.trees
        beams = [
            Beam(
                tree=index % trees,
                candidate=Candidate(
                    index=index,
                    seed=candidate_seed(self.run_seed, request.id, index),
                    sampling=self.sampling,
                    finish=FinishReason.LENGTH,
                ),
            )
            for index in range(trees * self.guidance.width)
        ]
        hunt = Hunt(request, beams)
        # Before anything is known: a step samples a token at least.
        hunt.share_per_row = self.guidance.steps_of_a_decision(step_seconds) / budget.tokens
        hunt.beams = affordable(hunt, beams, budget, self.guidance.step_seconds)
        return hunt

    def _failed(self, hunt: Hunt, problem: str, verifier: Verifier, lost: Cost) -> SearchResult:
        beam = hunt.beams[0]
        job = Job(request=hunt.request, index=0, seed=beam.candidate.seed, sampling=self.sampling)
        message = f"'{hunt.request.id}': {problem}"
        beam.candidate, beam.is_over = failed_candidate(job, FailureKind.SYNTHESIS, message), True
        hunt.beams = [beam]
        judge([hunt], self.then or verifier)
        return _result(hunt, lost)


class _Batch:
    """Requests that share a generation."""

    def __init__(
        self,
        search: ProcessSearch,
        hunts: list[Hunt],
        generation: Generation,
        step_seconds: float,
        verifier: Verifier,
        budget: Budget,
    ) -> None:
        self._search = search
        self._guidance = search.guidance
        self._hunts = hunts
        self._generation = generation
        self._step_seconds = step_seconds
        self._verifier = verifier
        self._budget = budget
        self._has_last_word: set[Beam] = set()
        """Beams of which the verifier that chooses has said what it has to say."""

    def run(self) -> None:
        """Take every request to its end."""
        if self._budget.flops < math.inf:
            self._learn_prices()
        decision = 0
        while live := [hunt for hunt in self._hunts if hunt.live]:
            is_guided = decision < self._guidance.decisions
            before = [(self._budget.share(hunt.cost), len(hunt.live)) for hunt in live]
            self._advance(live, is_guided)
            if is_guided:
                judge(live, self._verifier, self._ahead(live))
            elif self._budget.is_limited:
                self._judge_ended(live)
            for hunt, (share, rows) in zip(live, before, strict=True):
                hunt.share_per_row = (self._budget.share(hunt.cost) - share) / rows
                self._go_on(hunt, decision, is_guided)
            if sources := number_rows(self._hunts):
                self._generation.select(sources)  # at every step: selections are counted into the seeds of forks
            decision += 1
        if self._search.then is not None:
            for beam in (beam for hunt in self._hunts for beam in hunt.beams):
                beam.is_final = beam in self._has_last_word  # else another verifier's word is needed
        last = self._search.then or self._verifier
        unsettled = [
            hunt
            for hunt in self._hunts
            if not all(beam.is_final for beam in hunt.beams)
            or not (is_absolute(last) or self._has_last_word.isdisjoint(hunt.beams))  # they ended at different times
        ]
        judge(unsettled, last)

    def _learn_prices(self) -> None:
        """Let one row of each request try a model's step or two, as only that tells what a step costs in FLOPs.

        Without it all rows would begin, and a budget that pays for some whole samples could go for one step of many.
        """
        trial = self._generation.branch()
        trial.select([hunt.beams[0].row for hunt in self._hunts])
        trial.advance(1)  # to what the prompt costs a row only its first step is added
        first = [candidate.cost for candidate in trial.audio()]
        trial.advance(1)
        for hunt, one, two in zip(self._hunts, first, trial.audio(), strict=True):
            step = two.cost - one
            hunt.cost += step + step
            steps = self._guidance.steps_of_a_decision(self._step_seconds)
            hunt.share_per_row = steps * (step.flops or 0.0) / self._budget.flops
            hunt.beams = affordable(hunt, hunt.beams, self._budget, self._guidance.step_seconds)
        self._generation.select(number_rows(self._hunts))

    def _judge_ended(self, hunts: Sequence[Hunt]) -> None:
        """Judge what has ended unguided before others are dropped for it: there may be no speech in it."""
        ended = [Hunt(hunt.request, [b for b in hunt.beams if b.is_over and not b.is_final]) for hunt in hunts]
        judge(ended, self._search.then or self._verifier)
        for hunt, part in zip(hunts, ended, strict=True):
            hunt.cost += part.cost
            self._has_last_word.update(part.beams)

    def _advance(self, hunts: Sequence[Hunt], is_guided: bool) -> None:
        seconds = self._guidance.step_seconds
        if not is_guided and not self._budget.is_limited:
            seconds = self._search.sampling.max_seconds
        self._generation.advance(model_steps(seconds, self._step_seconds))
        heard, finished = self._generation.audio(), self._generation.finished()
        for hunt in hunts:
            for beam in hunt.live:
                hunt.cost += heard[beam.row].cost - beam.candidate.cost
                beam.candidate = heard[beam.row]
                beam.is_over = finished[beam.row] is not None

    def _ahead(self, hunts: Sequence[Hunt]) -> dict[int, tuple[Candidate, bool]]:
        """What live beams would say a little later, by row, and whether that is all of it."""
        seconds = self._guidance.lookahead_seconds
        if not seconds or not any(hunt.live for hunt in hunts):
            return {}
        branch = self._generation.branch()
        branch.advance(model_steps(seconds, self._step_seconds))
        heard, finished = branch.audio(), branch.finished()
        for hunt in hunts:
            for beam in hunt.live:
                hunt.cost += heard[beam.row].cost - beam.candidate.cost
        return {row: (heard[row], finished[row] is not None) for row in range(len(heard))}

    def _go_on(self, hunt: Hunt, decision: int, is_guided: bool) -> None:
        """Decide who goes on, and how often."""
        # Nothing is known yet: to drop beams would be blind, to expand them would make more of the same.
        waits = is_guided and all(beam.is_undecided for beam in hunt.beams)
        kept = self._kept(hunt, decision) if is_guided and not waits else hunt.beams
        if is_guided:
            hunt.note_decision(decision, hunt.beams, set(kept))
        over, live = [b for b in kept if b.is_over], [b for b in kept if not b.is_over]
        ended = [beam for beam in over if not beam.has_failed]
        if self._budget.share(hunt.cost) >= 1.0:
            for beam in live:
                beam.is_over = True
            hunt.beams = ended or live or over
            return
        copies = self._guidance.expand if decision + 1 < self._guidance.decisions and not waits else 1
        expanded = [replace(beam) for _ in range(copies) for beam in live]
        hunt.beams = over + affordable(hunt, expanded, self._budget, self._guidance.step_seconds, has_ended=bool(ended))

    def _kept(self, hunt: Hunt, decision: int) -> list[Beam]:
        seed = forked_seed(candidate_seed(self._search.run_seed, hunt.request.id, 0), decision, 0)
        random = generator(seed)
        kept: list[Beam] = []
        for tree in range(self._guidance.trees):
            pool = [beam for beam in hunt.beams if beam.tree == tree]
            kept += [pool[position] for position in self._guidance.keep(pool, decision, random)] if pool else []
        return kept


def checked(synthesizer: Synthesizer, verifier: Verifier) -> StepSynthesizer:
    """The synthesizer as one with steps.

    Raises:
        ConfigError: it has none, or the verifier cannot judge what is not finished.
    """
    problems = []
    steps = as_step_synthesizer(synthesizer)
    if steps is None:
        problems.append(
            f"Synthesizer '{synthesizer.name}' does not work step by step, so nothing can be judged on the way. "
            f"Let it speak phrase by phrase (--synth phrases:{synthesizer.name}), use an autoregressive one (llasa), "
            "or a strategy for finished candidates (best-of-n)."
        )
    if not verifier.supports_partial:
        problems.append(
            f"Verifier '{verifier.judge}' cannot judge unfinished speech. Guide with one that can (asr, speaker, "
            "quality), and give this one as --then."
        )
    if problems or steps is None:
        raise ConfigError(problems)
    return steps


def judge(hunts: Sequence[Hunt], verifier: Verifier, ahead: dict[int, tuple[Candidate, bool]] | None = None) -> None:
    """Judge every beam of every hunt in one call.

    One that was judged as a whole is compared again where scores depend on the pool, which is no new judgement.
    Without `ahead`, what there is of a beam that goes on is judged as unfinished.
    """
    is_settled = is_absolute(verifier)
    pairs = [(h, beam) for h in hunts for beam in dict.fromkeys(h.beams) if not (beam.is_final and is_settled)]
    if not pairs:
        return
    items = []
    for hunt, beam in pairs:
        candidate, is_whole = beam.candidate, beam.is_over
        if ahead and not beam.is_over:
            candidate, is_whole = ahead[beam.row]
        items.append(Item(request=hunt.request, candidate=candidate, partial=not is_whole))
    scores = verifier.score(items)
    for (hunt, beam), score, merit in zip(pairs, scores, merits(scores, verifier), strict=True):
        hunt.cost += Cost(verifier_seconds=score.seconds)
        if not beam.is_final:
            hunt.cost += Cost(judgements=1, spared_calls=score.spared_calls, spared_seconds=score.spared_seconds)
        beam.score, beam.merit, beam.is_final = score, merit, beam.is_over


def _result(hunt: Hunt, lost: Cost) -> SearchResult:
    # Resampling may repeat a beam that had ended; it is one candidate.
    beams = sorted(hunt.beams, key=lambda beam: beam.candidate.index)
    unique = list({(b.candidate.index, b.candidate.seed, b.candidate.cost.tokens): b for b in beams}.values())
    scores = [beam.score for beam in unique if beam.score is not None]
    order = ranks([beam.merit for beam in unique])
    note_choice(hunt.trace, unique[order.index(0)].node)
    return SearchResult(
        request=hunt.request,
        candidates=tuple(replace(beam.candidate, index=index) for index, beam in enumerate(unique)),
        scores=tuple(scores),
        ranks=tuple(order),
        cost=hunt.cost + lost,
        trace=tuple(hunt.trace),
    )
