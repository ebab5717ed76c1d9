from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tts_eval import weights
from tts_eval.audio import read_audio
from tts_eval.errors import WeightsError
from tts_eval.text import load_protocol
from verifiers import long_audio, whisper_ctranslate2
from verifiers.recognition import RATE, Utterance
from verifiers.shares import spoken_prefix
from verifiers.whisper_ctranslate2 import (
    FAST,
    CTranslate2Recogniser,
    exact_window,
    fast_window,
    likelihood_window,
    load,
)


@pytest.fixture(scope="module")
def loaded() -> Callable[..., CTranslate2Recogniser]:
    """Recognisers by name, each loaded once; skips where the weights are absent."""
    cache: dict[tuple[str, bool], CTranslate2Recogniser] = {}

    def get(model: str, exact: bool = False) -> CTranslate2Recogniser:
        if (model, exact) not in cache:
            try:
                cache[model, exact] = load(model, exact=exact, threads=2)
            except WeightsError as error:
                pytest.skip(str(error))
        return cache[model, exact]

    return get


@pytest.fixture(scope="module")
def speech() -> Callable[[Path, int], list[Utterance]]:
    """LibriSpeech clips of many lengths with their texts."""

    def read(data: Path, count: int) -> list[Utterance]:
        found = []
        for listing in sorted((data / "LibriSpeech" / "train-clean-5").rglob("*.trans.txt")):
            name, _, text = listing.read_text(encoding="utf-8").splitlines()[0].partition(" ")
            clip = read_audio(listing.parent / f"{name}.flac")
            found.append(Utterance(audio_16k=clip.at(RATE), text=text.capitalize(), language="en"))
        return found[:count]

    return read


def mean(transcript) -> float:
    return transcript.log_prob / transcript.tokens


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(0.01, 1600), (1.0, 1600), (8.0, 1600), (8.1, 1800), (15.0, 2400), (20.1, 3000), (27.0, 3000), (30.0, 3000)],
)
def test_fast_window_is_16_s_and_8_s_longer_than_the_clip(seconds, frames):
    """Another rule gives other scores: it needs another `FAST`, so that no run mixes the two."""
    assert fast_window(seconds, "en").frames == frames
    assert fast_window(seconds, "en").new_tokens <= 224
    assert FAST == "fast-16s"


@pytest.mark.parametrize("seconds", [0.5, 1.5, 3.0, 6.0, 10.0, 20.0])
def test_token_cap_leaves_room_for_the_fastest_speech_but_not_for_a_loop(seconds):
    assert 7.4 + 6 * seconds < fast_window(seconds, "en").new_tokens < 34 + 8 * seconds
    assert fast_window(seconds, "hi").new_tokens > fast_window(seconds, "en").new_tokens


def test_clips_of_one_2_s_step_share_a_window():
    assert fast_window(4.01, "en") == fast_window(6.0, "en") != fast_window(6.01, "en")
    assert fast_window(5.0, "en") != fast_window(5.0, "de")


def test_exact_window_is_whispers_own():
    assert exact_window(1.0, "en") == exact_window(29.0, "en") == (3000, 224, 5, "en")


@pytest.mark.real
def test_threads_and_number_type_reach_the_engine(monkeypatch, loaded):
    import ctranslate2

    loaded("tiny.en")
    asked = []
    original = ctranslate2.models.Whisper
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    monkeypatch.setattr(
        ctranslate2.models, "Whisper", lambda *args, **named: asked.append(named) or original(*args, **named)
    )
    recogniser = load("tiny.en", threads=1)
    load("tiny.en", threads=2)
    load("tiny.en", threads=8)
    assert {(named["device"], named["compute_type"]) for named in asked} == {("cpu", "int8")}
    assert [(named["inter_threads"], named["intra_threads"]) for named in asked] == [(1, 1), (2, 1), (4, 2)]
    assert recogniser.judge == f"faster-whisper:tiny.en@{weights.fingerprint('whisper-tiny.en')}:int8:{FAST}"


@pytest.mark.real
def test_a_clip_is_judged_alike_alone_and_among_others_in_any_order(loaded, data, speech):
    recogniser, clips = loaded("tiny.en"), speech(data, 12)
    together = recogniser.recognise(clips)
    backwards = recogniser.recognise(clips[::-1])[::-1]
    alone = [recogniser.recognise([clip])[0] for clip in clips]
    for other in (backwards, alone):
        assert [transcript.text for transcript in other] == [transcript.text for transcript in together]
        assert [mean(transcript) for transcript in other] == pytest.approx(
            [mean(transcript) for transcript in together], abs=1e-4
        )


@pytest.mark.real
@pytest.mark.parametrize("model", ["tiny.en", "base"])
def test_real_speech_is_understood_and_its_text_is_the_likely_one(loaded, data, speech, model):
    recogniser, clips = loaded(model), speech(data, 8)
    right = recogniser.recognise(clips)
    swapped = [
        Utterance(audio_16k=clip.audio_16k, text=other.text, language="en")
        for clip, other in zip(clips, clips[1:] + clips[:1], strict=True)
    ]
    wrong = recogniser.recognise(swapped)
    protocol = load_protocol("whisper-norm@1")
    counts = [protocol.counts(clip.text, heard.text) for clip, heard in zip(clips, right, strict=True)]
    assert sum(count.errors for count in counts) / sum(count.reference_length for count in counts) < 0.15
    for true, false in zip(right, wrong, strict=True):
        assert -3 < mean(true) < 0
        assert mean(false) < mean(true) - 2


@pytest.mark.parametrize(
    ("seconds", "frames"), [(0.01, 200), (1.0, 200), (1.1, 400), (5.0, 600), (5.1, 800), (29.5, 3000), (30.0, 3000)]
)
def test_a_known_text_needs_a_second_more_than_the_clip(seconds, frames):
    """Another rule gives other scores: it needs another version of the `likelihood` and `asr` verifiers."""
    assert likelihood_window(seconds, "en").frames == frames <= fast_window(seconds, "en").frames


@pytest.mark.real
@pytest.mark.parametrize(("exact", "tolerance"), [(True, 1e-4), (False, 0.25)])
def test_the_likelihood_alone_needs_no_search(loaded, data, speech, monkeypatch, exact, tolerance):
    recogniser, clips = loaded("tiny.en", exact), speech(data, 3)
    heard = recogniser.recognise(clips)
    monkeypatch.setattr(recogniser, "_transcripts", lambda *args: pytest.fail("searched for a transcript"))
    alone = recogniser.recognise([replace(clip, transcribe=False) for clip in clips])
    assert [(result.text, result.tokens) for result in alone] == [("", result.tokens) for result in heard]
    assert [mean(result) for result in alone] == pytest.approx([mean(result) for result in heard], abs=tolerance)


@pytest.mark.real
def test_of_unfinished_speech_the_text_so_far_is_scored(loaded, data, speech):
    recogniser, (clip,) = loaded("tiny.en"), speech(data, 1)
    half = replace(clip, audio_16k=clip.audio_16k[: len(clip.audio_16k) // 2])
    (whole,) = recogniser.recognise([half])
    (partial,) = recogniser.recognise([replace(half, partial=True)])
    assert partial.text == whole.text
    assert 0 < partial.tokens < whole.tokens
    assert mean(partial) > mean(whole)
    (expected,) = recogniser.recognise([replace(half, text=spoken_prefix(clip.text, whole.text))])
    assert (partial.tokens, mean(partial)) == (expected.tokens, pytest.approx(mean(expected), abs=1e-4))


@pytest.mark.real
def test_exact_hears_what_faster_whisper_hears(loaded, data, speech):
    from faster_whisper import WhisperModel

    exact, fast, clips = loaded("tiny.en", True), loaded("tiny.en"), speech(data, 4)
    reference = WhisperModel(str(weights.locate("whisper-tiny.en")), device="cpu", compute_type="int8", cpu_threads=2)
    expected = [
        " ".join(
            segment.text.strip()
            for segment in reference.transcribe(clip.audio_16k, temperature=0, without_timestamps=True)[0]
        )
        for clip in clips
    ]
    heard = exact.recognise(clips)
    assert [transcript.text for transcript in heard] == expected
    assert exact.judge == fast.judge.replace(f":{FAST}", ":exact")
    assert heard[0].log_prob != fast.recognise(clips[:1])[0].log_prob


@pytest.mark.real
def test_languages_of_a_multilingual_and_an_english_model(loaded, data, speech):
    base, english = loaded("base"), loaded("tiny.en")
    assert [base.supports(code) for code in ("en", "de", "zh", "xx", "notimestamps")] == [True] * 3 + [False] * 2
    assert [english.supports(code) for code in ("en", "de")] == [True, False]
    (clip,) = speech(data, 1)
    german = Utterance(audio_16k=clip.audio_16k, text=clip.text, language="de")
    heard = base.recognise([clip, german])
    assert heard[0].log_prob != heard[1].log_prob
    assert heard[0].text != heard[1].text


@pytest.mark.real
def test_a_transcript_too_short_for_its_clip_is_heard_again_in_30_s(loaded, data, speech, monkeypatch):
    recogniser, clips = loaded("tiny.en"), speech(data, 8)
    exact = [transcript.text for transcript in loaded("tiny.en", True).recognise(clips)]
    monkeypatch.setattr(whisper_ctranslate2, "_SLOWEST_SPEECH", 0.0)
    once = recogniser.recognise(clips)
    monkeypatch.setattr(whisper_ctranslate2, "_SLOWEST_SPEECH", 100.0)
    twice = recogniser.recognise(clips)
    assert [transcript.text for transcript in twice] == exact
    assert [transcript.text for transcript in once] != exact
    unfinished = [replace(clip, partial=True, text=clip.text + " and so on") for clip in clips]
    for transcript, alone in zip(
        recogniser.recognise(unfinished), loaded("tiny.en", True).recognise(unfinished), strict=True
    ):
        assert (transcript.text, transcript.tokens) == (alone.text, alone.tokens)  # of the words that were heard
        assert mean(transcript) == pytest.approx(mean(alone), abs=0.01)
    # The likelihoods stay those of the short window, so that all candidates of a request compare.
    assert [mean(transcript) for transcript in twice] == pytest.approx(
        [mean(transcript) for transcript in once], abs=1e-4
    )


@pytest.mark.real
def test_the_token_cap_ends_a_transcript(loaded, data, speech, monkeypatch):
    recogniser, (clip,) = loaded("tiny.en"), speech(data, 1)
    monkeypatch.setattr(whisper_ctranslate2, "_SLOWEST_SPEECH", 0.0)  # a short transcript is not heard again
    monkeypatch.setattr(
        recogniser, "_window", lambda seconds, language: fast_window(seconds, language)._replace(new_tokens=3)
    )
    assert 1 <= recogniser._pass([clip], recogniser._window)[0].tokens <= 3


@pytest.mark.real
def test_odd_clips_and_texts_do_not_break_a_batch(loaded, data, speech):
    recogniser, (clip,) = loaded("tiny.en"), speech(data, 1)
    audio = clip.audio_16k

    def said(text: str, samples: np.ndarray = audio) -> Utterance:
        return Utterance(audio_16k=samples, text=text, language="en")

    click, full, nothing, special, endless = recogniser.recognise(
        [
            said("click", audio[:10]),
            said("all", np.resize(audio, 30 * RATE)),
            said(""),
            said("<|endoftext|> yes"),
            said("word " * 600),
        ]
    )
    assert recogniser.recognise([]) == []
    assert click.tokens and full.tokens
    assert (nothing.tokens, nothing.log_prob) == (0, 0.0)
    assert special.tokens and math.isfinite(special.log_prob)
    assert endless.tokens == 600
    # 446 tokens fit into the decoder with <|startoftranscript|> and <|notimestamps|>, one more place is for the end.
    assert endless.log_prob < -(600 - 446) * math.log(recogniser.text_tokens)


@pytest.mark.real
def test_a_clip_over_30_s_is_heard_to_its_end(loaded, data, speech):
    recogniser, clips = loaded("tiny.en"), speech(data, 7)
    long = Utterance(
        audio_16k=np.concatenate([clip.audio_16k for clip in clips]),
        text=" ".join(clip.text for clip in clips),
        language="en",
    )
    assert long.seconds > 40
    heard, short = long_audio.recognise(recogniser, [long, clips[0]])
    counts = load_protocol("whisper-norm@1").counts(long.text, heard.text)
    assert counts.rate < 0.2
    # To its end: the last clip's last words are there, which a single 30 s window would have lost.
    assert set(clips[-1].text.lower().split()[-3:]) & set(heard.text.lower().replace(".", "").split()[-5:])
    assert -1.5 < mean(heard) < 0
    assert heard.tokens == pytest.approx(sum(t.tokens for t in recogniser.recognise(clips)), abs=10)
    assert short == recogniser.recognise(clips[:1])[0]
