"""Going on with a recording: the prompt is the beginning of the text, and of the clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from llasa_checkpoints import save_checkpoint

from benchmarks.mini import PROMPT_TEXT, prompt_path
from tts_eval.audio import Excerpt
from tts_eval.seeds import candidate_seed
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import FinishReason, Item, Job, Prompt, Request, Sampling
from verifiers import load_verifier

CONTINUATION = {"task": "continuation"}


@pytest.fixture
def going_on(voice) -> Request:
    return Request(id="r", text="One. Good day.", prompt=Prompt(audio=voice), metadata=CONTINUATION)


def test_the_clip_is_the_recording_through_the_codec_and_then_what_is_said(llasa, going_on, voice, jobs_for):
    codec = llasa._engine.codec
    reference = codec.encode(voice)
    begun = reference.frames.tolist()
    for candidate in llasa.generate(jobs_for([going_on], 4, max_seconds=1.0)):
        assert candidate.tokens[: len(begun)].tolist() == begun and len(begun) < len(candidate.tokens) <= 50
        assert candidate.cost.tokens in (len(candidate.tokens) - len(begun) + is_end for is_end in (0, 1))
        with torch.inference_mode():
            whole = codec.decode(torch.from_numpy(candidate.tokens)[None], [reference])[0].numpy()
        np.testing.assert_allclose(candidate.clip.samples, whole.clip(-1, 1), atol=1e-5)


def test_what_follows_is_what_follows_a_prompt_with_that_transcript(llasa, going_on, voice, jobs_for):
    cloned = Request(id="r", text="Good day.", prompt=Prompt(audio=voice, transcript="One."))
    sampling = Sampling(repetition_penalty=1.5)
    (spoken,) = llasa.generate(jobs_for([cloned], 1, sampling, max_seconds=0.5))
    (whole,) = llasa.generate(jobs_for([going_on], 1, sampling, max_seconds=1.0))
    begun = llasa._engine.codec.encode(voice).frames
    assert whole.tokens.tolist() == [*begun.tolist(), *spoken.tokens.tolist()]
    assert (whole.finish, whole.cost.tokens) == (spoken.finish, spoken.cost.tokens)


def test_a_transcript_of_the_recording_is_not_said_again(llasa, going_on, jobs_for):
    known = replace(going_on, prompt=replace(going_on.prompt, transcript="One."))
    first, second = (llasa.generate(jobs_for([request], 1))[0].tokens.tolist() for request in (going_on, known))
    assert first == second


def test_it_is_the_same_step_by_step_and_forked(llasa, going_on, jobs_for):
    jobs = jobs_for([going_on], 2, max_seconds=1.0)
    whole = llasa.generate(jobs)
    generation = llasa.begin(jobs)
    assert [len(candidate.tokens) for candidate in generation.audio()] == [25, 25]
    generation.advance(3)
    generation.select([0, 1, 1])
    generation.advance(1000)
    *same, fork = generation.audio()
    for one, other in zip(same, whole, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        np.testing.assert_array_equal(one.clip.samples, other.clip.samples)
    assert fork.tokens[:28].tolist() == whole[1].tokens[:28].tolist()


def test_a_long_text_goes_on_in_one_piece(tmp_path, voice, jobs_for):
    chunked = load_synthesizer(f"llasa:{save_checkpoint(tmp_path / 'llasa')},device=cpu,chunk=on")
    text = "The bell rang twice, and nobody came to the door. " * 3
    request = Request(id="r", text=text, prompt=Prompt(audio=voice), metadata=CONTINUATION)
    assert len(chunked._openings(request)) == 1
    assert len(chunked._openings(replace(request, prompt=None))) > 1
    (candidate,) = chunked.generate(jobs_for([request], 1, max_seconds=1.0))
    assert len(candidate.tokens) <= 50


@pytest.mark.real
def test_nano_says_the_words_that_the_recording_leaves():
    pytest.importorskip("piper")
    nano, asr = load_synthesizer("llasa-nano:device=cpu"), load_verifier("asr:tiny.en")
    begun = Excerpt(prompt_path(), 1.5)
    request = Request(id="r", text=PROMPT_TEXT, prompt=Prompt(audio=begun), metadata=CONTINUATION)
    (opening,) = nano._openings(request)
    words = len(PROMPT_TEXT.split())
    assert words / 5 < len(opening.script) < words * 4 / 5
    made = nano.generate(
        [Job(request=request, index=i, seed=candidate_seed(0, "r", i), sampling=Sampling()) for i in range(4)]
    )
    assert all(candidate.finish is FinishReason.EOS for candidate in made)
    assert all(candidate.clip.seconds > 2.0 for candidate in made)
    scores = asr.score([Item(request=request, candidate=candidate) for candidate in made])
    assert min(score.values["wer"] for score in scores) < 0.2
