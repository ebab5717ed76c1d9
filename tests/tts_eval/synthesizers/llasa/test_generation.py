"""The engine against transformers: same tokens, whatever is advanced, forked, dropped or batched."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from tts_eval.seeds import forked_seed
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.engine.sampling import Controls, Settings, choose, uniforms
from tts_eval.synthesizers.engine.steps import COLUMN_BUCKET, ROW_BUCKETS, Workspace
from tts_eval.synthesizers.llasa.format import SPEECH_END, speech_token
from tts_eval.types import FinishReason, Job, Sampling


@pytest.fixture(scope="module")
def reference(checkpoint):
    model = LlamaForCausalLM.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    return model, tokenizer


def prompt_ids(llasa, request):
    """Token ids of a request's prompt, found again from its embeddings."""
    (opening,) = llasa._openings(request)
    return torch.cdist(opening.inputs, llasa._engine._embedding).argmin(dim=-1)


def tokens(candidates):
    return [candidate.tokens.tolist() for candidate in candidates]


def recomputed(reference, ids, codes, seeds, sampling: Sampling, limit: int) -> tuple[list[int], bool]:
    """What a row with one seed per step should say, without any cache: the codes, and whether the end came."""
    model, tokenizer = reference
    first, end = tokenizer.convert_tokens_to_ids([speech_token(0), SPEECH_END])
    kept = [*range(first, len(tokenizer)), end]
    with torch.inference_mode():
        logits = model(torch.cat([ids, torch.tensor(codes, dtype=torch.long) + first])[None]).logits[0, len(ids) - 1 :]
    heard = torch.zeros(1, len(kept), dtype=torch.bool)
    heard[0, ids[ids >= first] - first] = True
    settings = Settings(1, torch.device("cpu"))
    settings.assign(0, sampling)
    said: list[int] = []
    for step in range(min(len(seeds), len(logits), limit)):
        uniform = uniforms(seeds[step], limit)[step : step + 1]
        token = int(choose(logits[step : step + 1, kept], uniform, settings, Controls.of([sampling]), heard.clone()))
        if token == len(kept) - 1:
            return said, True
        said.append(token)
        heard[0, token] = True
    return said, False


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_tokens_equal_those_of_generate(llasa, reference, requests, jobs_for, penalty):
    model, tokenizer = reference
    first, end = tokenizer.convert_tokens_to_ids([speech_token(0), SPEECH_END])
    sampling = Sampling(temperature=0.0, repetition_penalty=penalty, max_seconds=2.0)
    made = llasa.generate(jobs_for(requests, 1, sampling, max_seconds=2.0))
    for request, candidate in zip(requests, made, strict=True):
        ids = prompt_ids(llasa, request)
        theirs = model.generate(
            ids[None], attention_mask=torch.ones_like(ids)[None], do_sample=False, max_new_tokens=100,
            eos_token_id=end, pad_token_id=0, repetition_penalty=penalty,
        )[0, len(ids) :].tolist()  # fmt: skip
        expected = [token - first for token in theirs if token != end]
        assert candidate.tokens.tolist() == expected
        assert candidate.finish is (FinishReason.EOS if end in theirs else FinishReason.LENGTH)


SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.7, top_p=0.9),
    Sampling(top_k=8, repetition_penalty=1.3),
    Sampling(temperature=0.0),
]


@pytest.mark.parametrize("trial", range(8))
def test_any_sequence_of_advance_and_select_equals_uncached_recomputation(llasa, reference, requests, jobs_for, trial):
    random = np.random.default_rng(trial)
    jobs = [
        replace(job, sampling=replace(SAMPLINGS[(index + trial) % len(SAMPLINGS)], max_seconds=1.2))
        for index, job in enumerate(jobs_for(requests, int(random.integers(1, 4))))
    ]
    jobs = [jobs[index] for index in random.permutation(len(jobs))]
    generation = llasa.begin(jobs)
    rows = [(job, job.seed, []) for job in jobs]  # job, seed from now on, seed of each step so far
    for fork in range(1, int(random.integers(2, 6))):
        steps = int(random.integers(0, 15))
        generation.advance(steps)
        rows = [(job, seed, [*seeds, *[seed] * steps]) for job, seed, seeds in rows]
        chosen = random.integers(0, len(rows), size=int(random.integers(1, 9))).tolist()
        was_over = [finish is not None for finish in generation.finished()]
        generation.select(chosen)
        copies: Counter[int] = Counter()
        kept = []
        for index in chosen:
            job, seed, seeds = rows[index]
            kept.append(
                (job, forked_seed(seed, fork, copies[index]) if copies[index] and not was_over[index] else seed, seeds)
            )
            copies[index] += 1
        rows = kept
    generation.advance(20)
    for (job, seed, seeds), candidate, finish in zip(rows, generation.audio(), generation.finished(), strict=True):
        codes = candidate.tokens.tolist()
        expected, ended = recomputed(
            reference, prompt_ids(llasa, job.request), codes, [*seeds, *[seed] * 20], job.sampling, 60
        )
        assert codes == expected
        assert candidate.seed == seed
        assert finish is (FinishReason.EOS if ended else FinishReason.LENGTH if len(codes) == 60 else None)


def test_a_row_does_not_depend_on_its_neighbours(llasa, requests, jobs_for):
    jobs = jobs_for(requests, 3)
    together = tokens(llasa.generate(jobs))
    assert tokens(llasa.generate(jobs[::-1]))[::-1] == together
    assert [tokens(llasa.generate([job]))[0] for job in jobs] == together
    assert len({tuple(row) for row in together}) == len(jobs)


def test_neighbours_with_other_sampling_change_nothing(llasa, requests, jobs_for):
    plain = jobs_for(requests, 2)
    odd = jobs_for(requests, 2, Sampling(temperature=0.5, top_p=0.8, top_k=5, repetition_penalty=1.4))
    mixed = [job for pair in zip(plain, odd, strict=True) for job in pair]
    made = tokens(llasa.generate(mixed))
    assert made[::2] == tokens(llasa.generate(plain))
    assert made[1::2] == tokens(llasa.generate(odd))
    assert made[1::2] != made[::2]


def test_advancing_in_pieces_is_advancing_at_once(llasa, requests, jobs_for):
    jobs = jobs_for(requests, 2)
    pieces, whole = llasa.begin(jobs), llasa.begin(jobs)
    for steps in (1, 7, 0, 3, 29):
        pieces.advance(steps)
        pieces.audio()
    whole.advance(40)
    assert tokens(pieces.audio()) == tokens(whole.audio()) == tokens(llasa.generate(jobs))
    assert pieces.finished() == whole.finished()


def test_forks_share_the_past_and_differ_from_then_on(llasa, requests, jobs_for):
    generation = llasa.begin(jobs_for(requests[1:2], 1))
    generation.advance(10)
    generation.select([0] * 20)  # more rows than there was memory for
    assert len({tuple(row) for row in tokens(generation.audio())}) == 1
    generation.advance(20)
    live = generation.finished().count(None)
    generation.select([*range(20), *range(20)])
    generation.advance(10)
    said = tokens(generation.audio())
    assert len({tuple(row[:10]) for row in said}) == 1
    assert len({tuple(row) for row in said}) == 20 + live
    assert len({candidate.seed for candidate in generation.audio()}) == 20 + live


def test_finished_rows_leave_the_batch_and_can_still_be_selected(llasa, requests, jobs_for):
    jobs = [
        replace(job, sampling=Sampling(max_seconds=0.1 * (index + 1))) for index, job in enumerate(jobs_for(requests))
    ]
    generation = llasa.begin(jobs)
    live = []
    for _ in range(6):
        live.append(len(generation._live))
        generation.advance(5)
    assert live[0] == 6 and live[-1] <= 1
    before = tokens(generation.audio())
    generation.select([5, 0, 0])
    assert tokens(generation.audio()) == [before[5], before[0], before[0]]
    assert generation.finished()[1] is not None
    generation.select([])
    generation.advance(1)
    assert generation.audio() == generation.finished() == []


def test_strange_rows_are_refused(llasa, requests, jobs_for):
    generation = llasa.begin(jobs_for(requests[:1], 2))
    for rows in ([2], [-1]):
        with pytest.raises(ValueError, match="expected numbers from 0 to 1"):
            generation.select(rows)


def test_costs_count_shared_work_once(llasa, requests, jobs_for):
    jobs = jobs_for(requests, 4)
    generation = llasa.begin(jobs)
    generation.advance(1000)
    made = generation.audio()
    spent = generation.spent
    assert sum(c.cost.tokens for c in made) == spent.tokens
    assert sum(c.cost.flops for c in made) == pytest.approx(spent.flops)
    assert sum(c.cost.generator_seconds for c in made) == pytest.approx(spent.generator_seconds)
    assert all(c.cost.tokens == len(c.tokens) + (c.finish is FinishReason.EOS) for c in made)
    again = {id(c): c.cost.flops for c in llasa.generate(jobs)}
    assert list(again.values()) == [c.cost.flops for c in made]

    dropped = llasa.begin(jobs)
    dropped.advance(10)
    before = dropped.spent.tokens
    dropped.select([0])
    assert dropped.spent.tokens == before


def test_flops_are_those_of_the_matrices(llasa, reference):
    model, _ = reference
    shape = llasa._engine.transformer.shape
    assert shape.matrix_weights == sum(
        weight.numel() for name, weight in model.model.layers.named_parameters() if weight.dim() == 2
    )
    # Two steps after a context of 5: the first sees 5 positions, the second 6.
    assert shape.flops(2, 5) == 4 * shape.matrix_weights + 4 * 2 * 32 * (5 + 6)


def test_jobs_of_one_request_are_prefilled_once(llasa, requests, jobs_for, monkeypatch):
    calls = []
    prefill = type(llasa._engine.transformer).prefill
    monkeypatch.setattr(type(llasa._engine.transformer), "prefill", lambda *a: calls.append(1) or prefill(*a))
    jobs = jobs_for(requests, 5)
    llasa.begin([jobs[index] for index in np.random.default_rng(0).permutation(len(jobs))])
    assert len(calls) == 3


def test_out_of_memory_halves_the_batch_and_goes_on(llasa, requests, jobs_for, monkeypatch):
    jobs: list[Job] = jobs_for(requests, 3)
    expected = tokens(llasa.generate(jobs))
    engine, begin, sizes = llasa._engine, type(llasa._engine).begin, []

    def small(self, starts):
        sizes.append(len(starts))
        if len(starts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return begin(self, starts)

    monkeypatch.setattr(type(engine), "begin", small)
    monkeypatch.setattr(engine, "_most_rows", None)
    assert tokens(llasa.generate(jobs)) == expected
    assert sizes == [9, 4, 2, 2, 2, 2, 1]


class StepsLikeAGraph:
    """What a captured CUDA graph does, without one: positions are read from tensors at every replay."""

    def __init__(self, workspace, rows, length):
        self._work = lambda: workspace._graph_step(rows, length)

    def replay(self):
        self._work()


@pytest.fixture
def graphed(llasa, monkeypatch):
    """The way of a GPU, on a CPU: buckets of rows and columns, rows that run on beyond their end."""
    captured = []

    def capture(self, rows, length):
        captured.append((rows, length))
        return StepsLikeAGraph(self, rows, length)

    make = Workspace.__init__

    def init(self, *arguments):
        make(self, *arguments)
        self._uses_graphs = True
        for buffer in (*self.cache.keys, *self.cache.values):
            buffer.zero_()  # as on a GPU: a bucket reaches beyond what has been written

    monkeypatch.setattr(Workspace, "__init__", init)
    monkeypatch.setattr(Workspace, "_capture", capture)
    llasa._engine._release()
    yield captured
    llasa._engine._release()


def test_the_way_of_a_gpu_says_the_same(llasa, requests, jobs_for, graphed, monkeypatch):
    def steered(jobs):
        generation = llasa.begin(jobs)
        generation.advance(7)
        generation.select([0, *range(len(jobs)), 3, 3])
        generation.advance(23)
        return tokens(generation.audio()), generation.finished(), generation.spent.tokens

    jobs = [*jobs_for(requests, 3, max_seconds=1.5), *jobs_for(requests, 1, SAMPLINGS[2], max_seconds=1.0)]
    on_gpu = tokens(llasa.generate(jobs)), steered(jobs)
    assert len(graphed) == len(set(graphed)) > 2, "each graph is captured once, and used by both generations"
    assert all(rows in (*ROW_BUCKETS, len(jobs) + 3) and length % COLUMN_BUCKET == 0 for rows, length in graphed)
    monkeypatch.undo()
    llasa._engine._release()
    assert (tokens(llasa.generate(jobs)), steered(jobs)) == on_gpu


def test_a_graph_that_cannot_be_captured_is_done_without(llasa, requests, jobs_for, graphed, monkeypatch, caplog):
    def fail(self, rows, length):
        raise RuntimeError("operation not permitted when stream is capturing")

    jobs = jobs_for(requests, 2)
    expected = tokens(llasa.generate(jobs))
    monkeypatch.setattr(Workspace, "_capture", fail)
    llasa._engine._release()
    assert tokens(llasa.generate(jobs)) == expected
    assert caplog.text.count("no CUDA graph could be captured") == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_greedy_tokens_on_a_gpu_equal_those_on_a_cpu(llasa, checkpoint, requests, jobs_for):
    jobs = jobs_for(requests, 2, Sampling(temperature=0.0))
    on_gpu = load_synthesizer(f"llasa:{checkpoint},device=cuda,dtype=float32")
    assert tokens(on_gpu.generate(jobs)) == tokens(llasa.generate(jobs))


def test_a_branch_goes_on_as_the_rows_would_and_leaves_them_where_they_are(llasa, requests, jobs_for):
    jobs = jobs_for(requests, 2, Sampling(), max_seconds=2.0)
    undisturbed = tokens(llasa.generate(jobs))
    generation = llasa.begin(jobs)
    generation.advance(7)
    before, spent = tokens(generation.audio()), generation.spent.tokens
    branch = generation.branch()
    branch.advance(9)
    assert [said[: len(now)] for said, now in zip(tokens(branch.audio()), before, strict=True)] == before
    assert branch.spent.tokens > 0
    assert generation.spent.tokens == spent
    assert tokens(generation.audio()) == before
    branch.advance(200)
    generation.advance(200)
    assert tokens(branch.audio()) == tokens(generation.audio()) == undisturbed
    assert generation.finished() == branch.finished()
