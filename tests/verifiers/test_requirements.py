import sys
from pathlib import Path

import numpy as np
import pytest

from tts_eval.audio import Clip, Excerpt, write_audio
from tts_eval.emotions import Heard
from tts_eval.errors import ConfigError, UnknownNameError, WeightsError
from tts_eval.types import Candidate, FailureKind, FinishReason, Item, Prompt, Request, Sampling, what_is_lacking
from verifiers.asr import AsrVerifier
from verifiers.emotion import EmotionVerifier
from verifiers.fake import FakeVerifier
from verifiers.likelihood import LikelihoodVerifier
from verifiers.requirements import load_verifiers, require_judgeable
from verifiers.speaker import SpeakerVerifier

CLIP = Clip(np.full(16_000, 0.5, np.float32), 16_000)


class Recogniser:
    judge, text_tokens = "recogniser", 10

    def supports(self, language):
        return language in ("en", "de")

    def recognise(self, utterances):
        assert not utterances, "no audio is needed"
        return []


class Voices:
    shortest_seconds, lowest_cosine = 0.0, 0.0

    def embed(self, clips_16k):
        assert not clips_16k, "no audio is needed"
        return []


class Emotions:
    judge, emotions, shortest_seconds = "emotions", ("happy", "sad"), 0.0

    def hear(self, clips_16k) -> list[Heard]:
        assert not clips_16k, "no audio is needed"
        return []


def verifiers() -> dict[str, object]:
    return {
        "asr": AsrVerifier(Recogniser()),
        "likelihood": LikelihoodVerifier(Recogniser()),
        "speaker": SpeakerVerifier(Voices(), "voices"),
        "emotion": EmotionVerifier(Emotions()),
        "emotion:,target=prompt": EmotionVerifier(Emotions(), "prompt"),
        "emotion:,target=sad": EmotionVerifier(Emotions(), "sad"),
        "fake": FakeVerifier(),
    }


def request(name: str = "r", text: str = "one two", **others) -> Request:
    return Request(id=name, text=text, **others)


@pytest.mark.parametrize(
    ("asked", "unable"),
    [
        (request(), ["speaker", "emotion", "emotion:,target=prompt"]),
        (request(prompt=Prompt(audio=CLIP, style="happy")), []),
        (request(prompt=Prompt(audio=CLIP), metadata={"emotion": "sad"}), []),
        (request(prompt=Prompt(audio=CLIP), metadata={"emotion": "disgust"}), ["emotion"]),
        (request(prompt=Prompt(audio=Path("nowhere.wav"), style="sad")), ["speaker", "emotion:,target=prompt"]),
        (request(ground_truth=CLIP), ["emotion", "emotion:,target=prompt"]),
        (request(text="...", prompt=Prompt(audio=CLIP, style="sad")), ["asr", "likelihood"]),
        (request(language="fr", prompt=Prompt(audio=CLIP, style="sad")), ["asr", "likelihood"]),
        # Known to the model, not covered by whisper-norm@1.
        (request(language="de-AT", prompt=Prompt(audio=CLIP, style="sad")), ["asr"]),
    ],
)
def test_what_cannot_be_judged_is_known_without_audio_and_is_the_failure_of_the_score(asked, unable):
    candidate = Candidate(index=0, seed=0, sampling=Sampling(), finish=FinishReason.EOS, clip=CLIP)
    found = {spec: what_is_lacking(verifier, asked) for spec, verifier in verifiers().items()}
    assert [spec for spec, failure in found.items() if failure] == unable
    for spec in unable:
        (score,) = verifiers()[spec].score([Item(request=asked, candidate=candidate)])
        assert score.failure == found[spec]
        assert score.failure.kind is FailureKind.NO_REFERENCE


def test_all_verifiers_that_can_judge_nothing_are_refused_at_once_and_ten_requests_named():
    requests = [request(f"r{number}") for number in range(13)]
    with pytest.raises(ConfigError) as caught:
        require_judgeable(verifiers(), requests)
    problems = caught.value.problems
    assert [problem.split("'")[1] for problem in problems] == ["speaker", "emotion", "emotion:,target=prompt"]
    for problem in problems:
        assert "'r9' and 3 more: " in problem and "'r10'" not in problem
    assert "neither prompt audio nor ground-truth audio" in problems[0]
    assert "asks for no emotion" in problems[1]


def test_what_only_some_requests_lack_is_a_warning(caplog):
    requests = [request("with", prompt=Prompt(audio=CLIP)), request("without"), request("neither")]
    require_judgeable({"speaker": SpeakerVerifier(Voices(), "voices")}, requests)
    (record,) = caplog.records
    assert "'speaker' cannot judge 2 of 3 requests" in record.getMessage()
    assert "'without', 'neither': The request has neither prompt" in record.getMessage()
    caplog.clear()
    require_judgeable({"fake": FakeVerifier()}, requests)
    require_judgeable({"speaker": SpeakerVerifier(Voices(), "voices")}, requests[:1])
    assert not caplog.records


class Multilingual(Recogniser):
    def supports(self, language):
        return True


def test_a_prompt_file_that_is_there_is_not_read(tmp_path: Path):
    path = tmp_path / "prompt.wav"
    speaker = SpeakerVerifier(Voices(), "voices")
    asked = request(prompt=Prompt(audio=path))
    beginning = request(prompt=Prompt(audio=Excerpt(path, 1.0)))
    for each in (asked, beginning):
        assert str(path) in what_is_lacking(speaker, each).message
    write_audio(path, CLIP)
    assert what_is_lacking(speaker, asked) is what_is_lacking(speaker, beginning) is None


def test_everything_that_does_not_load_is_said_at_once():
    wrong = ["fake:x", "quality:best", "speaker:gee2e", "asr:/nowhere/model", "emotion:,target=joyy", "fake"]
    with pytest.raises(ConfigError) as caught:
        load_verifiers(wrong)
    assert len(caught.value.problems) == 5
    for name in ("'x'", "'best'", "'gee2e'", "/nowhere/model", "'joyy'"):
        assert name in str(caught.value)


@pytest.mark.parametrize(("spec", "error"), [("fakir", UnknownNameError), ("fake:x", ConfigError)])
def test_a_single_problem_keeps_its_kind(spec, error):
    with pytest.raises(error):
        load_verifiers(["fake", spec])


def test_missing_weights_are_said_as_such(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TTS_EVAL_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="tts-eval fetch"):
        load_verifiers(["quality"])


def test_a_package_that_chinese_needs_is_asked_for_before_anything_is_generated(monkeypatch):
    monkeypatch.setitem(sys.modules, "zhconv", None)
    chinese = AsrVerifier(Multilingual(), "seed-tts@1")
    with pytest.raises(ConfigError, match=r"pip install 'tts-eval-harness\[chinese\]'"):
        require_judgeable({"asr": chinese}, [Request(id="r", text="今天很好", language="zh")])
    require_judgeable({"asr": chinese}, [Request(id="r", text="A fine day.", language="en")])


@pytest.mark.parametrize("spec", ["asr:base#wer", "duration#pace"])
def test_a_metric_of_a_judge_is_refused_as_such(spec):
    with pytest.raises(ConfigError, match=f"names a metric.* Write {spec.partition('#')[0]}"):
        load_verifiers([spec])


def test_each_spec_is_loaded_once_in_order():
    loaded = load_verifiers(["fake:2", "fake", "fake:2"])
    assert [verifier.judge for verifier in loaded.values()] == ["zero-crossings:2", "zero-crossings:0"]
