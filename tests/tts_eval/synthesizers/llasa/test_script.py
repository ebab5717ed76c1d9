"""Rows with a script: they hear its pieces at their own ends, whatever else happens to the batch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from tts_eval.seeds import forked_seed
from tts_eval.synthesizers.engine.engine import Engine
from tts_eval.synthesizers.engine.head import Opening, Start
from tts_eval.synthesizers.engine.sampling import Controls, Settings, choose, uniforms
from tts_eval.synthesizers.engine.token_head import TokenHead
from tts_eval.types import FinishReason, Job, Request, Sampling

SCRIPTS = (((5, 9, 7), (11,), (3, 4)), (), ((20, 21),))
LIMIT = 60


class Scripted:
    """An engine whose model ends often, and the same model without cache, batch or tensors of rows."""

    def __init__(self, llasa, checkpoint) -> None:
        self.model = LlamaForCausalLM.from_pretrained(checkpoint).eval()
        head, form = llasa._engine.head, llasa._format
        embedding = self.model.model.embed_tokens.weight.detach()
        output = self.model.lm_head.weight.detach().clone()
        output[form.end] = output[form.first : form.first + 6].sum(0)  # likely wherever one of six codes is
        self.first, self.codes, self.end = form.first, form.codes, form.end
        self.output = torch.cat([output[form.first : form.first + form.codes], output[form.end : form.end + 1]])
        scripted = TokenHead(embedding, output, first=form.first, codes=head.codes, end=form.end)
        self.engine = Engine(llasa._engine.transformer, scripted, llasa._engine.codec, embedding=embedding)

    def start(self, number: int, limit: int = LIMIT, **sampling: float) -> Start:
        ids = list(range(30 + 3 * number, 50))
        request = Request(id=f"r{number % 3}", text="x")
        job = Job(request=request, index=0, seed=100 + number, sampling=Sampling(**sampling))
        return Start(job, Opening(self.engine.embed(ids), None, "x", SCRIPTS[number % 3]), limit)

    def expected(self, number: int, seeds: Sequence[int], **sampling: float) -> tuple[list[int], bool, int, int]:
        """Codes, whether the end came, steps taken and draws, with one seed per step."""
        ids = list(range(30 + 3 * number, 50))
        script = [list(piece) for piece in SCRIPTS[number % 3]]
        settings = Settings(1, torch.device("cpu"))
        settings.assign(0, Sampling(**sampling))
        heard = torch.zeros(1, self.codes + 1, dtype=torch.bool)
        waiting: list[int] = []
        codes: list[int] = []
        draws = 0
        for step, seed in enumerate(seeds):
            if waiting:
                ids.append(waiting.pop(0))
                continue
            with torch.inference_mode():
                hidden = self.model.model(torch.tensor([ids])).last_hidden_state[:, -1]
            uniform = uniforms(seed, LIMIT)[step : step + 1]
            drawn = int(choose(hidden @ self.output.T, uniform, settings, Controls.of([Sampling(**sampling)]), heard))
            draws += 1
            heard[0, drawn] |= drawn < self.codes or not script  # an end that only pauses has not been said
            if drawn < self.codes:
                codes.append(drawn)
                ids.append(self.first + drawn)
            elif not script:
                return codes, True, step + 1, draws
            else:
                ids.append(self.end)
                waiting = script.pop(0)
        return codes, False, len(seeds), draws


@pytest.fixture(scope="module")
def scripted(llasa, checkpoint) -> Scripted:
    return Scripted(llasa, checkpoint)


@pytest.mark.parametrize("sampling", [{}, {"repetition_penalty": 2.0}])
def test_a_row_hears_its_script_at_its_ends(scripted, sampling):
    starts = [scripted.start(number, **sampling) for number in range(6)]
    made = scripted.engine.generate(starts)
    finishes = set()
    for number, candidate in enumerate(made):
        codes, ended, _, draws = scripted.expected(number, [100 + number] * LIMIT, **sampling)
        assert candidate.tokens.tolist() == codes
        assert candidate.finish is (FinishReason.EOS if ended else FinishReason.LENGTH)
        assert candidate.cost.tokens == draws
        finishes.add(candidate.finish)
    assert FinishReason.EOS in finishes
    plain = [replace(start, opening=replace(start.opening, script=())) for start in starts]
    unscripted = scripted.engine.generate(plain)
    assert [len(one.tokens) for one in unscripted] != [len(one.tokens) for one in made]


@pytest.mark.parametrize("trial", range(6))
def test_forks_carry_their_script_along(scripted, trial):
    random = np.random.default_rng(trial)
    rows = [(number, 100 + number, []) for number in range(4)]
    generation = scripted.engine.begin([scripted.start(number, temperature=0.8) for number in range(4)])
    for fork in range(1, 5):
        steps = int(random.integers(0, 9))
        generation.advance(steps)
        rows = [(number, seed, [*seeds, *[seed] * steps]) for number, seed, seeds in rows]
        was_over = [finish is not None for finish in generation.finished()]
        chosen = random.integers(0, len(rows), size=int(random.integers(1, 8))).tolist()
        generation.select(chosen)
        copies: Counter[int] = Counter()
        kept = []
        for index in chosen:
            number, seed, seeds = rows[index]
            forks = copies[index] and not was_over[index]
            kept.append((number, forked_seed(seed, fork, copies[index]) if forks else seed, seeds))
            copies[index] += 1
        rows = kept
    generation.advance(12)
    for (number, seed, seeds), candidate, finish in zip(rows, generation.audio(), generation.finished(), strict=True):
        codes, ended, steps, draws = scripted.expected(number, [*seeds, *[seed] * 12], temperature=0.8)
        assert candidate.tokens.tolist() == codes
        assert (finish is FinishReason.EOS) == ended
        assert candidate.cost.tokens == draws <= steps


def test_a_row_that_is_cut_while_it_listens_says_length(scripted):
    codes, ended, steps, _ = scripted.expected(0, [100] * LIMIT)
    assert ended and steps > 15
    for limit in range(1, steps + 2):
        (cut,) = scripted.engine.generate([scripted.start(0, limit)])
        assert cut.tokens.tolist() == codes[: len(cut.tokens)]
        assert cut.finish is (FinishReason.EOS if limit >= steps else FinishReason.LENGTH)


def test_steps_that_only_listen_are_part_of_an_opening():
    opening = Opening(torch.zeros(1, 4), None, "x", ((1, 2), (3,)))
    assert opening.heard_steps == 5
