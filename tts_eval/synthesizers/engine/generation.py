"""A batch of live rows that a search can advance, fork, drop and listen to.

Rows are numbered as the caller sees them; slots are where live rows lie in memory. A row that has
come to its end gives up its slot at once, and the last live row moves into the gap, so every step
runs live rows only (on a GPU the gap closes when it is next looked at).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch

from tts_eval.audio import Clip
from tts_eval.seeds import forked_seed
from tts_eval.synthesizers.codec import Codec
from tts_eval.synthesizers.engine.head import Opening, Said, Start
from tts_eval.synthesizers.engine.speech import Settled, Utterance, listen
from tts_eval.synthesizers.engine.steps import Workspace
from tts_eval.types import Candidate, Cost, FinishReason


class Host(Protocol):
    """What a generation asks of the engine that began it."""

    codec: Codec

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        ...

    def lease(self, generation: RowGeneration, slots: int, columns: int, steps: int) -> Workspace:
        """A larger workspace for a generation that forked."""
        ...

    def prefill_flops(self, opening: Opening) -> float:
        """FLOPs of a prompt."""
        ...

    def row_flops(self, start: Start, steps: int) -> float:
        """FLOPs of a row's first `steps` steps."""
        ...


@dataclass(slots=True, eq=False)
class Row:
    """What is known of one row."""

    start: Start
    seed: int
    slot: int
    frames: tuple[np.ndarray, ...]
    steps: int = 0
    drawn: int = 0
    finish: FinishReason | None = None
    settled: Settled = field(default_factory=Settled)
    clip: Clip | None = None
    """Audio of a row that is over, once somebody asked for it."""
    seconds: float = 0.0

    def said(self) -> np.ndarray:
        """All frames so far."""
        return np.concatenate(self.frames)


class RowGeneration:
    """The `Generation` of every model that the engine runs; begun by `Engine.begin`."""

    def __init__(self, engine: Host, workspace: Workspace, rows: Sequence[Row], column: int, seconds: float) -> None:
        self._engine = engine
        self._workspace = workspace
        self._rows = list(rows)
        self._live = sorted(self._rows, key=lambda row: row.slot)
        """Live rows by slot."""
        self._clock = 0
        """Steps that live rows have made."""
        self._column = column
        """Where the next step is written."""
        self._forks = 0
        openings = {id(row.start.opening): row.start.opening for row in rows}
        prefill = sum(engine.prefill_flops(opening) for opening in openings.values())
        self._spent = Cost(flops=prefill)
        self._charge(seconds, self._rows)

    @property
    def spent(self) -> Cost:
        """What all rows have cost together, dropped ones too; shared work counts once."""
        return self._spent

    def finished(self) -> list[FinishReason | None]:
        """How each row ended; None for a live one."""
        return [row.finish for row in self._rows]

    @torch.inference_mode()
    def advance(self, steps: int) -> None:
        """Let every live row say up to `steps` more steps."""
        while steps > 0 and self._live:
            started = time.perf_counter()
            rows = list(self._live)
            controls = self._workspace.rows.prepare([row.start.job for row in rows])
            most = min(steps, *(row.start.limit - row.steps for row in rows))
            made = self._workspace.run(len(rows), self._clock, self._column, most, controls)
            said = self._workspace.rows.collect(len(rows), self._clock, self._clock + made)
            for row, new in zip(rows, said, strict=True):
                self._extend(row, new)
            self._clock += made
            self._column += made
            steps -= made
            self._compact()
            self._charge(time.perf_counter() - started, rows)

    @torch.inference_mode()
    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row named twice is forked, and its copies get fresh seeds."""
        strange = [row for row in rows if not 0 <= row < len(self._rows)]
        if strange:
            raise ValueError(f"There is no row {strange[0]}; expected numbers from 0 to {len(self._rows) - 1}.")
        self._forks += 1
        copies: Counter[int] = Counter()
        chosen, forks = [], []
        for index in rows:
            row = replace(self._rows[index])
            if copies[index] and row.finish is None:
                row.seed = forked_seed(row.seed, self._forks, copies[index])
                forks.append(row)
            copies[index] += 1
            chosen.append(row)
        self._rows = chosen
        self._place([row for row in chosen if row.finish is None])
        for row in forks:
            self._workspace.rows.reseed(row.slot, row.seed)

    @torch.inference_mode()
    def branch(self) -> RowGeneration:
        """The same rows in a workspace of their own; what they say from here on costs them alone."""
        twin = copy(self)
        twin._rows = [replace(row) for row in self._rows]
        twin._spent = Cost()
        live = sorted((row for row in twin._rows if row.finish is None), key=lambda row: row.slot)
        twin._workspace = self._engine.lease(twin, max(len(live), 1), self._workspace.columns, self._workspace.steps)
        for slot, row in enumerate(live):
            twin._workspace.rows.assign(slot, row.start)
        if live:
            index = torch.tensor([row.slot for row in live], dtype=torch.long, device=self._engine.device)
            twin._workspace.gather(self._workspace, index, self._column)
        for slot, row in enumerate(live):
            row.slot = slot
        twin._live = live
        return twin

    @torch.inference_mode()
    def audio(self) -> list[Candidate]:
        """What each row says so far; a live row says `length`, as if it were cut here."""
        started = time.perf_counter()
        unheard = [row for row in self._rows if row.clip is None]
        utterances = [
            Utterance(row.start.opening.reference, row.said(), row.settled, row.finish is not None) for row in unheard
        ]
        codec = self._engine.codec
        clips: dict[int, Clip] = {}
        for row, heard in zip(unheard, listen(codec, self._engine.device, utterances), strict=True):
            row.settled = heard.settled
            clips[id(row)] = Clip(heard.samples, codec.rate)
            if row.finish is not None:
                row.clip = clips[id(row)]
        self._charge(time.perf_counter() - started, unheard)
        return [self._candidate(row, row.clip or clips[id(row)]) for row in self._rows]

    def _extend(self, row: Row, new: Said) -> None:
        before = self._engine.row_flops(row.start, row.steps)
        row.frames = (*row.frames, new.frames)
        row.steps += new.steps
        row.drawn += new.drawn
        if new.ended:
            row.finish = FinishReason.EOS
        elif row.steps >= row.start.limit:
            row.finish = FinishReason.LENGTH
        flops = self._engine.row_flops(row.start, row.steps) - before
        self._spent += Cost(tokens=new.drawn, flops=flops)

    def _compact(self) -> None:
        """Close the gaps that finished rows leave."""
        for slot in range(len(self._live) - 1, -1, -1):
            if self._live[slot].finish is None:
                continue
            last = self._live.pop()
            if slot < len(self._live):
                self._workspace.move(last.slot, slot, self._column)
                last.slot = slot
                self._live[slot] = last

    def _place(self, live: list[Row]) -> None:
        """Give the live rows the first slots, with all that belongs to them."""
        sources = [row.slot for row in live]
        workspace = self._workspace
        if len(live) > workspace.slots:
            workspace = self._engine.lease(self, len(live), workspace.columns, workspace.steps)
            for slot, row in enumerate(live):
                workspace.rows.assign(slot, row.start)
        if workspace is not self._workspace or sources != list(range(len(live))):
            index = torch.tensor(sources, dtype=torch.long, device=self._engine.device)
            workspace.gather(self._workspace, index, self._column)
        for slot, row in enumerate(live):
            row.slot = slot
        self._workspace = workspace
        self._live = live

    def _charge(self, seconds: float, rows: Sequence[Row]) -> None:
        self._spent += Cost(generator_seconds=seconds)
        for row in rows:
            row.seconds += seconds / len(rows)

    def _candidate(self, row: Row, clip: Clip) -> Candidate:
        job = row.start.job
        flops = self._engine.row_flops(row.start, row.steps)
        if job.index == 0:  # once per request, and the same whichever rows share the batch
            flops += self._engine.prefill_flops(row.start.opening)
        return Candidate(
            index=job.index,
            seed=row.seed,
            sampling=job.sampling,
            finish=row.finish or FinishReason.LENGTH,
            clip=clip,
            tokens=row.said(),
            cost=Cost(tokens=row.drawn, audio_seconds=clip.seconds, generator_seconds=row.seconds, flops=flops),
        )
