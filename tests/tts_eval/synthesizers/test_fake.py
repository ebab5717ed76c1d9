import numpy as np
import pytest

from tts_eval.errors import ConfigError
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import FinishReason, Item, Request, Sampling
from verifiers import load_verifier

REQUEST = Request(id="r", text="one two three")


def test_the_fake_pair_agrees_on_what_is_better(make_jobs):
    """More temperature, more stray: the fake verifier hears what the fake synthesizer did."""
    strays = []
    for temperature in (0.0, 0.5, 2.0):
        jobs = make_jobs([REQUEST], 8, Sampling(temperature=temperature))
        made = load_synthesizer("fake").generate(jobs)
        scores = load_verifier("fake").score([Item(request=REQUEST, candidate=candidate) for candidate in made])
        strays.append(np.mean([score.value for score in scores]))
    assert strays[0] < strays[1] < strays[2]


def test_noisy_fakes_disagree_but_repeat_themselves(make_jobs):
    items = [Item(request=REQUEST, candidate=c) for c in load_synthesizer("fake").generate(make_jobs([REQUEST], 8))]
    clean, noisy, again = ([s.value for s in load_verifier(spec).score(items)] for spec in ("fake", "fake:1", "fake:1"))
    assert noisy == again != clean


def test_length_is_reported_and_max_seconds_kept(make_jobs):
    request = Request(id="r", text="a b c d", metadata={"fake": "length"})
    (made,) = load_synthesizer("fake").generate(make_jobs([request], 1, Sampling(max_seconds=0.2)))
    assert made.finish is FinishReason.LENGTH
    assert made.clip.seconds == pytest.approx(0.2)


@pytest.mark.parametrize("load", [lambda: load_synthesizer("fake:x"), lambda: load_verifier("fake:x")])
def test_arguments_are_checked(load):
    with pytest.raises(ConfigError):
        load()


def test_steps_give_what_generate_gives_and_forks_share_the_past(make_jobs):
    fake = load_synthesizer("fake")
    jobs = make_jobs([REQUEST, Request(id="s", text="four five six seven")], 2)
    generation = fake.begin(jobs)
    generation.advance(2)
    assert generation.finished() == [None] * 4
    assert [candidate.finish for candidate in generation.audio()] == [FinishReason.LENGTH] * 4
    halves = [candidate.clip.samples for candidate in generation.audio()]
    generation.select([0, 2, 2, 3, 1])
    generation.advance(9)
    assert generation.finished() == [FinishReason.EOS] * 5
    whole = fake.generate(jobs)
    made = generation.audio()
    for index, source in enumerate([0, 2, 2, 3, 1]):
        same = np.array_equal(made[index].clip.samples, whole[source].clip.samples)
        assert same == (index != 2)
        assert np.array_equal(made[index].clip.samples[: len(halves[source])], halves[source])
    assert made[2].seed != made[1].seed
    assert generation.spent.tokens == 4 * 2 + 1 + 2 + 2 + 2 + 1
    assert generation.spent.generator_seconds == pytest.approx(0.001 * (2 / 3 * 2 + 2 / 4 * 2 + 2 / 3 + 3 * 2 / 4))
