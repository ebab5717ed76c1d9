"""Begins generations, and runs whole batches of them within the memory there is.

Each request's prompt goes through the model once; its keys and values are copied to all rows of
the request. `generate` splits what does not fit, and when the memory runs out all the same, it
halves the batch, remembers that, and goes on.
Not handled: memory that runs out inside a generation that a search holds. The search begins again with
half of the requests; where one of them is too much, give it fewer beams.
"""

from __future__ import annotations

import gc
import logging
import time
import weakref
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tts_eval.errors import SynthesisError
from tts_eval.synthesizers.codec import Codec
from tts_eval.synthesizers.engine.cache import KVCache
from tts_eval.synthesizers.engine.generation import Row, RowGeneration
from tts_eval.synthesizers.engine.head import Opening, Start, StepHead
from tts_eval.synthesizers.engine.steps import COLUMN_BUCKET, Workspace
from tts_eval.synthesizers.engine.transformer import Transformer
from tts_eval.types import Candidate

logger = logging.getLogger(__name__)

CPU_CACHE_BYTES = 2**30
CUDA_CACHE_SHARE = 0.7
"""Of the memory that is free beside the weights."""
MOST_ROWS = {"cpu": 32, "cuda": 256}
"""More rows gain nothing: a step's time grows with them."""
FAR = 2**20


class Engine:
    """A transformer, a head and a codec."""

    def __init__(
        self, transformer: Transformer, head: StepHead, codec: Codec, *, embedding: Tensor, rows: int | None = None
    ) -> None:
        """`embedding` is of all tokens; `rows` is the most rows of one batch, None lets the memory decide."""
        self._embedding = embedding
        self.transformer = transformer
        self.head = head
        self.codec = codec
        self._most_rows = rows
        self._spare: Workspace | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.transformer.device

    @property
    def most_rows(self) -> int:
        """Rows of one batch, where the memory holds as many."""
        return self._most_rows or MOST_ROWS.get(self.device.type, MOST_ROWS["cpu"])

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Embeddings [T, width] of a prompt's tokens."""
        return self._embedding[torch.tensor(ids, dtype=torch.long, device=self.device)]

    @torch.inference_mode()
    def begin(self, starts: Sequence[Start]) -> RowGeneration:
        """A generation whose row i is `starts[i]`."""
        started = time.perf_counter()
        if not starts:
            raise ValueError("a generation needs at least one row")
        members: dict[int, list[int]] = {}
        for index, start in enumerate(starts):
            members.setdefault(id(start.opening), []).append(index)
        end = max(len(start.opening.inputs) for start in starts) - 1
        steps = max(start.limit for start in starts)
        workspace = self._take(len(starts), end + steps, steps)
        slots: dict[int, int] = {}
        for indices in members.values():
            opening = starts[indices[0]].opening
            mine = list(range(len(slots), len(slots) + len(indices)))
            # The last position of the prompt is the first step of every row.
            workspace.cache.fill(mine, self.transformer.prefill(opening.inputs[:-1]), end)
            workspace.inputs[mine] = opening.inputs[-1].to(workspace.inputs.dtype)
            workspace.positions[mine] = len(opening.inputs) - 1
            for index, slot in zip(indices, mine, strict=True):
                workspace.rows.assign(slot, starts[index])
                slots[index] = slot
        rows = [Row(start, start.job.seed, slots[index], self._first(start)) for index, start in enumerate(starts)]
        generation = RowGeneration(self, workspace, rows, end, time.perf_counter() - started)
        weakref.finalize(generation, self._give_back, workspace)
        return generation

    def generate(self, starts: Sequence[Start]) -> list[Candidate]:
        """One candidate per start, in order.

        Raises:
            SynthesisError: not even one row fits into the memory.
        """
        made: dict[int, Candidate] = {}
        # Rows of about one length share a batch: those that end early leave it, but nobody takes their place.
        order = sorted(range(len(starts)), key=lambda index: starts[index].limit)
        while order:
            batch = order[: self._batch_size([starts[index] for index in order])]
            candidates = self._finish_or_none([starts[index] for index in batch])
            if candidates is not None:
                made.update(zip(batch, candidates, strict=True))
                order = order[len(batch) :]
                continue
            self._release()
            if len(batch) == 1:
                raise SynthesisError(
                    f"Request '{starts[batch[0]].job.request.id}': one row does not fit into the memory of "
                    f"{self.device}. Use a smaller model, a shorter prompt or device=cpu."
                )
            self._most_rows = len(batch) // 2
            logger.warning("out of memory with %d rows; going on with %d at a time", len(batch), self._most_rows)
        return [made[index] for index in range(len(starts))]

    def lease(self, generation: RowGeneration, slots: int, columns: int, steps: int) -> Workspace:
        """A larger workspace for a generation that forked."""
        workspace = self._take(slots, columns, steps)
        weakref.finalize(generation, self._give_back, workspace)
        return workspace

    def prefill_flops(self, opening: Opening) -> float:
        """FLOPs of a prompt; its last position counts as the first step."""
        return self.transformer.shape.flops(len(opening.inputs) - 1, 1)

    def row_flops(self, start: Start, steps: int) -> float:
        """FLOPs of a row's first `steps` steps. The codec is not counted."""
        return self.transformer.shape.flops(steps, len(start.opening.inputs)) + steps * self.head.flops()

    def _first(self, start: Start) -> tuple[np.ndarray, ...]:
        begun = start.opening.begun
        return (self.head.silence,) if begun is None else (self.head.silence, begun.cpu().numpy())

    def _finish_or_none(self, starts: Sequence[Start]) -> list[Candidate] | None:
        """Rows from begin to end; None when the memory ran out."""
        try:
            generation = self.begin(starts)
            while None in generation.finished():
                generation.advance(FAR)
            return generation.audio()
        except torch.OutOfMemoryError:
            return None

    def _batch_size(self, starts: Sequence[Start]) -> int:
        """How many of the first starts fit together."""
        ceiling = self.most_rows
        per_position = KVCache.bytes_per_position(self.transformer.shape, self.transformer.dtype)
        memory = self._memory()
        longest_prompt = longest = 0
        for rows, start in enumerate(starts[:ceiling], 1):
            longest_prompt = max(longest_prompt, len(start.opening.inputs))
            longest = max(longest, start.limit)
            if rows > 1 and rows * (longest_prompt + longest) * per_position > memory:
                return rows - 1
        return min(len(starts), ceiling)

    def _memory(self) -> float:
        if self.device.type != "cuda":
            return CPU_CACHE_BYTES
        free, _ = torch.cuda.mem_get_info(self.device)
        unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        held = 0 if self._spare is None else self._spare.cache.nbytes
        return CUDA_CACHE_SHARE * (free + unused + held)

    def _take(self, slots: int, columns: int, steps: int) -> Workspace:
        spare, self._spare = self._spare, None
        if spare is not None and spare.fits(slots, columns, steps):
            spare.reset()
            return spare
        del spare  # before the next one is made
        columns, steps = (-(-size // COLUMN_BUCKET) * COLUMN_BUCKET for size in (columns, steps))
        return Workspace(self.transformer, self.head, slots, columns, steps)

    def _give_back(self, workspace: Workspace) -> None:
        if self._spare is None or not self._spare.fits(workspace.slots, workspace.columns, workspace.steps):
            self._spare = workspace

    def _release(self) -> None:
        gc.collect()  # a dead generation gives its workspace back, so this comes first
        self._spare = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
