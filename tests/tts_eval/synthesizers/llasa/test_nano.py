"""The small Llasa that comes along: it speaks, it clones, it is what its card says."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.mini import PROMPT_TEXT, prompt_path
from tts_eval import phonemes, weights
from tts_eval.audio import Clip, read_audio
from tts_eval.errors import ConfigError, MissingDependencyError, SynthesisError
from tts_eval.ge2e import GE2EEncoder
from tts_eval.seeds import candidate_seed
from tts_eval.synthesizers import load_synthesizer
from tts_eval.types import FinishReason, Item, Job, Prompt, Request, Sampling
from verifiers import load_verifier

pytest.importorskip("piper")
pytestmark = pytest.mark.real

MODEL = weights.bundled("llasa-nano")
TEXTS = ("The kitchen window was open all night.", "Please call the office before nine in the morning.")


@pytest.fixture(scope="module")
def nano():
    return load_synthesizer("llasa-nano:device=cpu")


def jobs(request: Request, count: int, **sampling: float) -> list[Job]:
    return [
        Job(request=request, index=i, seed=candidate_seed(0, request.id, i), sampling=Sampling(**sampling))
        for i in range(count)
    ]


def test_the_best_of_four_says_the_text(nano):
    asr = load_verifier("asr:tiny.en")
    rates = []
    for text in TEXTS:
        request = Request(id=text[:4], text=text)
        made = nano.generate(jobs(request, 4))
        assert all(candidate.finish is FinishReason.EOS for candidate in made)
        assert all(1.0 < candidate.clip.seconds < 6.0 for candidate in made)
        rates.append(min(s.values["wer"] for s in asr.score([Item(request=request, candidate=c) for c in made])))
    assert np.mean(rates) < 0.35


def test_seeds_decide_what_is_said_in_any_batch(nano):
    first, second = (jobs(Request(id=text[:4], text=text), 2) for text in TEXTS)
    together = [candidate.tokens.tolist() for candidate in nano.generate([*first, *second])]
    alone = [candidate.tokens.tolist() for job in [*first, *second] for candidate in nano.generate([job])]
    assert together == alone
    assert together[0] != together[1]
    other = [replace(job, seed=job.seed + 1) for job in first]
    assert [candidate.tokens.tolist() for candidate in nano.generate(other)] != together[:2]


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_a_second_of_steps_is_about_a_second_of_speech(nano, seconds):
    """About half of the steps only hear the script."""
    generation = nano.begin([job for text in TEXTS for job in jobs(Request(id=text[:4], text=text), 3)])
    generation.advance(round(seconds / nano.step_seconds))
    assert np.mean([candidate.clip.seconds for candidate in generation.audio()]) == pytest.approx(seconds, rel=0.25)


def test_a_long_prompt_leaves_room_for_a_long_text(nano):
    clip = read_audio(prompt_path())
    long = Clip(np.tile(clip.samples, 4), clip.rate)
    assert long.seconds > 9.0
    text = "The baker opened his shop before the sun was up, and the smell of bread filled the whole street."
    request = Request(id="long", text=text, prompt=Prompt(audio=long, transcript=" ".join([PROMPT_TEXT] * 4)))
    made = nano.generate(jobs(request, 4))
    assert sum(candidate.finish is FinishReason.EOS for candidate in made) >= 3
    scores = load_verifier("asr:tiny.en").score([Item(request=request, candidate=candidate) for candidate in made])
    assert np.median([score.values["wer"] for score in scores]) < 0.4


def test_the_prompt_sets_the_voice(nano, data):
    speech = data / "kokoro-speech"
    encoder = GE2EEncoder(weights.locate("ge2e-resemblyzer") / "pretrained.pt")
    rows = [line.split("\t") for line in (speech / "metadata.tsv").read_text().splitlines()[1:]]
    # Two voices that no training heard, a woman's and a man's.
    prompts = {}
    for name, voice, seconds, text, *_ in rows:
        if voice in ("af_nova", "bm_fable") and 2.5 < float(seconds) < 4.0 and voice not in prompts:
            prompts[voice] = Prompt(audio=speech / voice / f"{name}.opus", transcript=text)
    known, made = [], []
    for voice, prompt in prompts.items():
        known += encoder.embed([read_audio(prompt.audio).at(16_000)])
        clips = [c.clip for c in nano.generate(jobs(Request(id=voice, text=TEXTS[0], prompt=prompt), 2))]
        made.append(np.mean(encoder.embed([clip.at(16_000) for clip in clips]), axis=0))
    similar = np.stack(made) @ np.stack(known).T
    assert similar[0, 0] > similar[0, 1] + 0.05
    assert similar[1, 1] > similar[1, 0] + 0.05


def test_bad_requests_are_explained(nano, voice):
    for request, message in (
        (Request(id="a", text="Hello.", prompt=Prompt(audio=voice)), "no transcript"),
        (Request(id="b", text="Привет."), "never seen"),
        (Request(id="c", text="Bonjour.", language="fr"), "English only"),
        (Request(id="d", text="..."), "nothing to say"),
        (
            Request(id="e", text="Hi.", prompt=Prompt(audio=voice, transcript="far too many words for half a second")),
            "too short for its transcript",
        ),
    ):
        with pytest.raises(SynthesisError, match=message):
            nano.begin(jobs(request, 1))
        (failed,) = nano.generate(jobs(request, 1))
        assert message in failed.failure.message


def test_steps_make_what_generate_makes(nano):
    wanted = jobs(Request(id="r", text=TEXTS[0]), 2, temperature=0.7)
    generation = nano.begin(wanted)
    while None in generation.finished():
        generation.advance(7)
    whole = nano.generate(wanted)
    for stepped, candidate in zip(generation.audio(), whole, strict=True):
        assert stepped.tokens.tolist() == candidate.tokens.tolist()
        np.testing.assert_allclose(stepped.clip.samples, candidate.clip.samples, atol=1e-4)


def test_it_has_its_own_name_and_says_what_it_lacks(nano, monkeypatch):
    assert nano.name == "llasa-nano"
    phonemes.espeak.cache_clear()
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(MissingDependencyError, match=r"tts-eval-harness\[piper\]"):
        load_synthesizer("llasa-nano")


def test_only_its_own_options_are_taken():
    with pytest.raises(ConfigError, match="Unknown option 'codec'"):
        load_synthesizer("llasa-nano:codec=other")


def test_the_bundle_is_small_whole_and_has_a_card():
    assert 10 < MODEL.megabytes < 25
    files = {str(path.relative_to(MODEL.folder)) for path in MODEL.folder.rglob("*") if path.is_file()}
    assert files == {*MODEL.sha256, "MODEL_CARD.md"}
    assert not MODEL.damaged_files()
    assert {path.name for path in MODEL.folder.rglob("*.safetensors")} >= {"model.safetensors", "voice.safetensors"}
    card = (MODEL.folder / "MODEL_CARD.md").read_text()
    assert all(word in card for word in ("Licence", "Data", "Limits", MODEL.licence))
    assert not list(MODEL.folder.rglob("*.bin")) and not list(MODEL.folder.rglob("*.pt"))
