"""Verifiers with one model share it and what it heard: calls are counted on fakes, numbers held against others'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tts_eval.audio import Clip, read_audio
from tts_eval.emotions import Heard
from tts_eval.errors import ConfigError
from tts_eval.types import Prompt
from verifiers import emotion_models, load_verifier, sharing, speaker_models, whisper_ctranslate2, whisper_openai
from verifiers.asr import AsrVerifier
from verifiers.emotion import EmotionVerifier
from verifiers.likelihood import LikelihoodVerifier
from verifiers.recognition import RATE, Transcript, Utterance
from verifiers.sharing import Remembered, SharedRecogniser
from verifiers.speaker import SpeakerVerifier
from verifiers.speaker_models import LoadedEncoder


class Recogniser:
    """Hears the length of a clip; counts what it was asked."""

    text_tokens = 1000

    def __init__(self, judge: str = "recogniser") -> None:
        self.judge = judge
        self.calls: list[list[bool]] = []

    def supports(self, language: str) -> bool:
        return True

    def recognise(self, utterances: Sequence[Utterance]) -> list[Transcript]:
        self.calls.append([utterance.transcribe for utterance in utterances])
        return [
            Transcript(
                f"Well-known {len(utterance.audio_16k)}" if utterance.transcribe else "",
                -float(np.abs(utterance.audio_16k).sum()) / 1000,
                len(utterance.text.split()),
            )
            for utterance in utterances
        ]


class Voices:
    """Points where the first samples say."""

    shortest_seconds = 0.0
    lowest_cosine = -1.0

    def __init__(self) -> None:
        self.calls: list[int] = []

    def embed(self, clips_16k: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        self.calls.append(len(clips_16k))
        vectors = [np.abs(clip[1:4]) + 0.01 for clip in clips_16k]
        return [(vector / np.linalg.norm(vector)).astype(np.float32) for vector in vectors]


class Emotions:
    """The louder, the happier."""

    judge, emotions, shortest_seconds = "loudness", ("happy", "sad"), 0.0

    def __init__(self) -> None:
        self.calls: list[int] = []

    def hear(self, clips_16k: Sequence[np.ndarray]) -> list[Heard]:
        self.calls.append(len(clips_16k))
        levels = [min(float(np.abs(clip).mean()), 1.0) for clip in clips_16k]
        return [Heard(np.array([level, 1.0 - level]), np.array([level, 0.5])) for level in levels]


def tone(pitch: float, seconds: float = 0.5, rate: int = RATE) -> Clip:
    """It swells and fades, as a voice does: a steady tone is silence."""
    time = np.arange(int(seconds * rate)) / rate
    return Clip(0.3 * np.sin(2 * np.pi * 4 * time) * np.sin(2 * np.pi * pitch * time), rate)


@pytest.fixture
def items(make_item):
    prompts = [Prompt(audio=tone(pitch)) for pitch in (100, 200)]
    return [make_item(tone(300 + 10 * index), "a well known one", prompt=prompts[index % 2]) for index in range(6)]


def values(scores) -> list[dict[str, float]]:
    assert all(score.failure is None for score in scores)
    return [dict(score.values) for score in scores]


@pytest.fixture
def recognisers(monkeypatch) -> dict[tuple[str, bool], Recogniser]:
    loaded: dict[tuple[str, bool], Recogniser] = {}

    def load(model: str, *, exact: bool = False) -> Recogniser:
        assert (model, exact) not in loaded, "loaded twice"
        return loaded.setdefault((model, exact), Recogniser(f"{model}:{exact}"))

    monkeypatch.setattr(whisper_ctranslate2, "load", load)
    return loaded


def test_protocols_share_a_model_and_its_transcripts(recognisers, items):
    whisper_norm, seed_tts, other = (
        load_verifier(spec) for spec in ("asr:tiny.en", "asr:tiny.en:seed-tts@1", "asr:base")
    )
    first, second = values(whisper_norm.score(items)), values(seed_tts.score(items))
    assert recognisers["tiny.en", False].calls == [[True] * 6]
    assert first == values(AsrVerifier(Recogniser()).score(items))
    assert second == values(AsrVerifier(Recogniser(), "seed-tts@1").score(items))
    assert [one["wer"] for one in first] != [one["wer"] for one in second]
    other.score(items)
    assert recognisers["base", False].calls == [[True] * 6]


def test_only_new_clips_are_heard(recognisers, items):
    verifier = load_verifier("asr:tiny.en")
    alone = values(verifier.score(items[:2]))
    assert values(verifier.score(items))[:2] == alone
    assert recognisers["tiny.en", False].calls == [[True] * 2, [True] * 4]


def test_a_likelihood_after_an_exact_transcript_is_free(recognisers, items):
    asr, likelihood = load_verifier("asr:tiny.en:exact"), load_verifier("likelihood:tiny.en:exact")
    asr.score(items)
    found = values(likelihood.score(items))
    assert recognisers["tiny.en", True].calls == [[True] * 6]
    assert found == values(LikelihoodVerifier(Recogniser()).score(items))


def test_so_it_is_with_a_backend_that_has_one_window(monkeypatch, items):
    recogniser = Recogniser()
    monkeypatch.setattr(whisper_openai, "load", lambda model: recogniser)
    load = [load_verifier(f"{name}:openai-whisper:tiny.en") for name in ("asr", "likelihood")]
    for verifier in load:
        verifier.score(items)
    assert recogniser.calls == [[True] * 6]


def test_a_shorter_window_is_another_hearing(recognisers, items):
    verifiers = [load_verifier("asr:tiny.en"), load_verifier("likelihood:tiny.en")]
    for verifier in verifiers:
        verifier.score(items)
    assert recognisers["tiny.en", False].calls == [[True] * 6, [False] * 6]


def test_a_likelihood_alone_is_no_transcript():
    inner = Recogniser()
    shared = SharedRecogniser(inner, one_window=True)
    asked = Utterance(audio_16k=tone(100).samples, text="one two", language="en")
    alone = replace(asked, transcribe=False)
    assert shared.recognise([alone])[0].text == ""
    heard = shared.recognise([asked])[0]
    assert heard.text
    assert shared.recognise([alone])[0] == Transcript("", heard.log_prob, heard.tokens)
    assert inner.calls == [[False], [True]]


@pytest.mark.parametrize(
    "change", [{"text": "three"}, {"language": "de"}, {"partial": True}, {"audio_16k": tone(101).samples}]
)
def test_whatever_changes_an_answer_is_asked_anew(change):
    inner = Recogniser()
    shared = SharedRecogniser(inner, one_window=True)
    asked = Utterance(audio_16k=tone(100).samples, text="one two", language="en")
    shared.recognise([asked, replace(asked, **change), asked])
    shared.recognise([asked])
    assert inner.calls == [[True] * 2]


def test_a_prompt_is_embedded_once_for_all_verifiers_with_one_voice_model(monkeypatch, items):
    voices = Voices()
    loads = []
    monkeypatch.setattr(
        speaker_models, "load_encoder", lambda *asked: loads.append(asked) or LoadedEncoder(voices, "voices")
    )
    first, second = load_verifier("speaker"), load_verifier("speaker:ge2e")
    found = values(first.score(items))
    assert values(second.score(items)) == found == values(SpeakerVerifier(Voices(), "voices").score(items))
    assert voices.calls == [2, 6]
    assert len(loads) == 1


def test_a_clip_is_heard_once_for_all_wanted_emotions(monkeypatch, items):
    model = Emotions()
    loads = []
    monkeypatch.setattr(emotion_models, "load_model", lambda *asked: loads.append(asked) or model)
    targets = ("happy", "sad", "prompt")
    for target, verifier in [(target, load_verifier(f"emotion:,target={target}")) for target in targets]:
        assert values(verifier.score(items)) == values(EmotionVerifier(Emotions(), target).score(items))
    assert model.calls == [6, 2]
    assert len(loads) == 1


def test_verifiers_that_are_alive_together_load_one_emotion_model(monkeypatch):
    loads = []
    monkeypatch.setattr(emotion_models, "load_model", lambda *asked: loads.append(asked) or Emotions())
    alive = [load_verifier(spec) for spec in ("emotion:,target=happy", "emotion:nano,target=prompt", "emotion")]
    alive.append(load_verifier("emotion:nano,device=cpu"))  # where it runs anyway
    assert loads == [("nano", "")]
    alive.append(load_verifier("emotion:iemocap,device=cpu"))
    monkeypatch.setattr(sharing, "choose_device", lambda device: device or "cuda")
    alive += [load_verifier("emotion:iemocap"), load_verifier("emotion:iemocap,device=cuda,target=sad")]
    assert loads == [("nano", ""), ("iemocap", "cpu"), ("iemocap", "")]


@pytest.mark.parametrize("spec", ["speaker:", "speaker:ge2e", "emotion:", "emotion:nano"])
def test_a_gpu_is_refused_for_a_model_that_runs_on_the_cpu_only(spec):
    with pytest.raises(ConfigError, match="runs on the CPU only; drop device=cuda:3"):
        load_verifier(f"{spec},device=cuda:3")


def test_a_model_that_raises_on_one_clip_still_costs_one_score(recognisers, items):
    verifier = load_verifier("asr:tiny.en")
    inner = recognisers["tiny.en", False]
    hear = inner.recognise

    def refuse(utterances: Sequence[Utterance]) -> list[Transcript]:
        if any(np.array_equal(u.audio_16k, items[3].candidate.clip.samples) for u in utterances):
            raise RuntimeError("poison")
        return hear(utterances)

    inner.recognise = refuse
    assert [score.failure is None for score in verifier.score(items)] == [True] * 3 + [False] + [True] * 2
    inner.recognise = hear
    assert verifier.score(items)[3].failure is None


def test_what_was_not_asked_for_longest_is_forgotten():
    remembered: Remembered[str] = Remembered(most=2)
    asked: list[list[int]] = []

    def ask(positions: list[int]) -> list[str]:
        asked.append(positions)
        return ["answer"] * len(positions)

    for keys in (["a", "b"], ["a"], ["c"], ["a"], ["b"]):
        assert remembered.of(keys, ask) == ["answer"] * len(keys)
    assert asked == [[0, 1], [0], [0]]
    assert "b" in remembered and "c" not in remembered


def test_a_clip_is_resampled_once_whoever_judges_it(monkeypatch, recognisers, make_item):
    import soxr

    resampled = []
    original = soxr.resample
    monkeypatch.setattr(soxr, "resample", lambda *args: resampled.append(args[1:]) or original(*args))
    monkeypatch.setattr(emotion_models, "load_model", lambda *asked: Emotions())
    items = [make_item(tone(300 + pitch, rate=22_050)) for pitch in range(3)]
    specs = ("asr:tiny.en", "likelihood:tiny.en", "asr:tiny.en:exact", "emotion:,target=happy")
    for verifier in [load_verifier(spec) for spec in specs]:
        verifier.score(items)
    assert resampled == [(22_050, RATE)] * 3


@pytest.mark.real
def test_real_models_say_the_same_shared_and_alone(data, make_item):
    paths = sorted((data / "LibriSpeech" / "train-clean-5").rglob("*.flac"))[:3]
    items = [make_item(read_audio(path), "a text that is not what was said") for path in paths]
    alone = [
        AsrVerifier(whisper_ctranslate2.load("tiny.en", exact=True, threads=2), "seed-tts@1"),
        LikelihoodVerifier(whisper_ctranslate2.load("tiny.en", exact=True, threads=2)),
    ]
    shared = [SharedRecogniser(whisper_ctranslate2.load("tiny.en", exact=True, threads=2), one_window=True)] * 2
    together = [AsrVerifier(shared[0], "seed-tts@1"), LikelihoodVerifier(shared[1])]
    for one, other in zip(alone, together, strict=True):
        expected, found = one.score(items), other.score(items)
        assert values(found) == values(expected)
        assert [score.details for score in found] == [score.details for score in expected]
        assert [score.judge for score in found] == [score.judge for score in expected]


@pytest.mark.real
def test_the_windows_of_one_checkpoint_have_one_copy_of_it():
    fast, exact = (whisper_ctranslate2.load("tiny.en", exact=exact, threads=2) for exact in (False, True))
    assert fast._model is exact._model
    assert whisper_ctranslate2.load("tiny.en", threads=1)._model is not fast._model
