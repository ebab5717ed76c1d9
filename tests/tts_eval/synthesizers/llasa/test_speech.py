import numpy as np
import pytest
import torch

from tts_eval.synthesizers.codec import Reference
from tts_eval.synthesizers.engine.speech import Settled, Utterance, listen

HOP = 4


class Neighbours:
    """A codec whose frames hear `context` frames on each side."""

    rate, hop, codes, context, is_local = 100, HOP, 64, 3, True

    def __init__(self):
        self.decoded = 0

    def encode(self, clip):
        return Reference(torch.arange(5))

    def decode(self, frames, references):
        self.decoded += frames.numel()
        voices = torch.tensor([0.0 if r is None or r.voice is None else float(r.voice[0]) for r in references])
        signal = torch.nn.functional.pad(frames.float() / 1000, (3, 3))
        mixed = signal.unfold(1, 7, 1) @ torch.tensor([1.0, 2, 3, 4, 3, 2, 1]) / 16
        return (mixed[:, :, None] + torch.arange(HOP) / 100 + voices[:, None, None]).flatten(1)


def hear_in_pieces(codec, frames, cuts, reference):
    settled, played = Settled(), []
    for cut in cuts:
        over = cut == len(frames)
        (heard,) = listen(codec, torch.device("cpu"), [Utterance(reference, frames[:cut], settled, over)])
        settled = heard.settled
        played.append(heard.samples)
        assert len(heard.samples) == cut * HOP
        assert sum(map(len, settled.pieces)) == settled.frames * HOP
    return played


@pytest.mark.parametrize("prompted", [False, True])
def test_pieces_equal_decoding_at_once(prompted):
    codec = Neighbours()
    reference = Reference(torch.arange(10, 30), torch.tensor([0.25])) if prompted else None
    frames = np.random.default_rng(0).integers(0, 64, size=50)
    (whole,) = listen(codec, torch.device("cpu"), [Utterance(reference, frames, Settled(), True)])
    played = hear_in_pieces(codec, frames, [0, 1, 9, 9, 10, 30, 50], reference)
    np.testing.assert_array_equal(played[-1], whole.samples)
    for piece in played:
        settled = max(0, len(piece) - codec.context * HOP)
        np.testing.assert_array_equal(piece[:settled], whole.samples[:settled])


def test_only_new_frames_and_their_context_are_decoded():
    codec = Neighbours()
    hear_in_pieces(codec, np.zeros(500, dtype=np.int64), range(0, 501, 25), None)
    assert codec.decoded <= 20 * (25 + 3 * codec.context)


def test_rows_of_many_lengths_are_what_they_are_alone():
    codec = Neighbours()
    random = np.random.default_rng(1)
    rows = [
        Utterance(Reference(torch.arange(n), torch.tensor([n / 100])), random.integers(0, 64, size=n), Settled(), True)
        for n in (0, 1, 7, 7, 7, 20)
    ]
    together = listen(codec, torch.device("cpu"), rows)
    for row, heard in zip(rows, together, strict=True):
        np.testing.assert_array_equal(listen(codec, torch.device("cpu"), [row])[0].samples, heard.samples)


def test_a_codec_that_hears_everything_says_the_same_in_the_end_whoever_listened(llasa, requests, jobs_for):
    jobs = jobs_for(requests, 2)
    generation = llasa.begin(jobs)
    while None in generation.finished():
        generation.advance(7)
        partial = generation.audio()
        assert all(len(c.clip.samples) == 320 * len(c.tokens) for c in partial)
    for heard, undisturbed in zip(generation.audio(), llasa.generate(jobs), strict=True):
        np.testing.assert_array_equal(heard.clip.samples, undisturbed.clip.samples)
        assert generation.audio()[0].clip is generation.audio()[0].clip


def test_the_prompt_is_context_of_the_first_frames(llasa, requests):
    codec, voice = llasa._engine.codec, requests[1].prompt.audio
    reference = codec.encode(voice)
    assert len(reference.frames) == 25
    frames = np.arange(12)
    (heard,) = listen(codec, torch.device("cpu"), [Utterance(reference, frames, Settled(), True)])
    with torch.inference_mode():
        whole = codec.decode(torch.cat([reference.frames, torch.arange(12)])[None], [reference])[0].numpy()
    np.testing.assert_allclose(heard.samples, whole[25 * 320 :].clip(-1, 1), atol=1e-6)
