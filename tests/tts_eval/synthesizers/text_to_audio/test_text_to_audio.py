"""Through small random checkpoints in transformers' own format."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, MissingDependencyError, WeightsError
from tts_eval.limits import limit_notes
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.text_to_audio.options import parse_options
from tts_eval.types import FailureKind, FinishReason, Prompt, Request, Sampling

LETTERS = " abcdefghijklmnopqrstuvwxyz'"
SHORT = Request(id="short", text="Good morning.")
LONG = Request(id="long", text="The bell rang twice and nobody came to the door")


def write_vits(folder: Path, *, speakers: int = 1, **tokenizer: object) -> Path:
    """A VITS of some thousand parameters, as `save_pretrained` writes it."""
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {letter: number for number, letter in enumerate(["<pad>", *LETTERS, "<unk>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    settings = {"language": "eng", "phonemize": False, "is_uroman": False} | tokenizer
    VitsTokenizer(str(folder / "vocab.json"), **settings).save_pretrained(folder)
    config = VitsConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
        flow_size=16, spectrogram_bins=9, upsample_initial_channel=16, upsample_rates=[8, 8],
        upsample_kernel_sizes=[16, 16], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
        prior_encoder_num_flows=2, prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=2, duration_predictor_filter_channels=16, depth_separable_num_layers=1,
        num_speakers=speakers, speaker_embedding_size=4 if speakers > 1 else 0, sampling_rate=8000,
        initializer_range=0.2,
    )  # fmt: skip
    VitsModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_vits(tmp_path_factory.mktemp("vits") / "tiny")


@pytest.fixture(scope="module")
def vits(checkpoint):
    return load_synthesizer(f"transformers:{checkpoint},device=cpu")


def samples(candidate) -> np.ndarray:
    return candidate.clip.samples


def test_text_becomes_audio(vits, make_jobs):
    short, long = vits.generate(make_jobs([SHORT, LONG], 1))
    assert short.finish is long.finish is FinishReason.EOS
    assert short.clip.rate == 8000
    assert 0 < short.clip.seconds < long.clip.seconds
    assert long.cost.audio_seconds == long.clip.seconds
    assert long.cost.generator_seconds > 0


def test_audio_is_the_same_in_any_order_and_batch(vits, make_jobs):
    jobs = make_jobs([SHORT, LONG], 2)
    together = vits.generate(jobs)
    reversed_order = vits.generate(jobs[::-1])[::-1]
    alone = [vits.generate([job])[0] for job in jobs]
    for a, b, c in zip(together, reversed_order, alone, strict=True):
        assert np.array_equal(samples(a), samples(b))
        assert np.array_equal(samples(a), samples(c))


def test_seeds_decide_and_leave_torchs_own_generator_alone(vits, make_jobs):
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    first, second = vits.generate(make_jobs([LONG], 2))
    assert torch.equal(torch.randn(3), expected)
    assert first.clip.sha256 != second.clip.sha256


def test_temperature_scales_both_noises_and_zero_is_deterministic(vits, make_jobs):
    cold = vits.generate(make_jobs([LONG], 2, Sampling(temperature=0.0)))
    assert np.array_equal(samples(cold[0]), samples(cold[1]))

    def lengths(temperature: float) -> float:
        made = vits.generate(make_jobs([LONG], 8, Sampling(temperature=temperature)))
        return float(np.std([candidate.clip.seconds for candidate in made]))

    assert 0 < lengths(0.3) < lengths(1.5)


def test_at_temperature_one_it_says_what_transformers_says(checkpoint, vits, make_jobs):
    from transformers import VitsModel, VitsTokenizer

    (job,) = make_jobs([SHORT], 1)
    model, tokenizer = VitsModel.from_pretrained(checkpoint).eval(), VitsTokenizer.from_pretrained(checkpoint)
    torch.manual_seed(job.seed)
    with torch.no_grad():
        expected = model(**tokenizer(SHORT.text, return_tensors="pt")).waveform[0].numpy()
    np.testing.assert_allclose(samples(vits.generate([job])[0]), expected.clip(-1, 1), atol=1e-6)


def test_what_is_too_long_is_cut_before_it_fills_the_memory(vits, make_jobs):
    endless = Request(id="endless", text="and on and on " * 3000)
    (made,) = vits.generate(make_jobs([endless], 1, Sampling(max_seconds=0.5)))
    assert made.finish is FinishReason.LENGTH
    assert made.clip.seconds == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("text", ["", "?!", "12", "\u4f60\u597d"])
def test_nothing_that_the_model_can_read_is_a_failure(vits, make_jobs, text):
    bad, good = vits.generate(make_jobs([Request(id="bad", text=text), SHORT], 1))
    assert bad.failure.kind is FailureKind.SYNTHESIS
    assert "'bad'" in bad.failure.message
    assert good.clip is not None


def test_the_revision_is_that_of_weights_and_speaker(vits, checkpoint, tmp_path):
    assert vits.revision.startswith("tiny@")
    assert vits.revision.endswith("+cpu")
    assert load_synthesizer(f"transformers:{checkpoint},device=cpu").revision == vits.revision
    many = write_vits(tmp_path / "tiny", speakers=3)
    revisions = {load_synthesizer(f"transformers:{many},device=cpu{end}").revision for end in ("", ",speaker=2")}
    assert len(revisions | {vits.revision}) == 3


def test_speakers_differ(tmp_path, make_jobs):
    many = write_vits(tmp_path / "many", speakers=3)
    jobs = make_jobs([SHORT], 1, Sampling(temperature=0.0))
    first, second = (load_synthesizer(f"transformers:{many},device=cpu,speaker={n}").generate(jobs)[0] for n in (0, 1))
    assert first.clip.sha256 != second.clip.sha256
    with pytest.raises(ConfigError, match="has 3: 0 to 2"):
        load_synthesizer(f"transformers:{many},device=cpu,speaker=3")


def test_a_speaker_of_a_model_with_one_is_refused(checkpoint):
    with pytest.raises(ConfigError, match="one speaker"):
        load_synthesizer(f"transformers:{checkpoint},device=cpu,speaker=1")


@pytest.mark.parametrize("setting", ["voice=a.npy", "vocoder=a/b"])
def test_what_only_speecht5_has_is_refused(checkpoint, setting):
    with pytest.raises(ConfigError, match="no use for voice= or vocoder="):
        load_synthesizer(f"transformers:{checkpoint},device=cpu,{setting}")


def test_a_prompt_that_is_ignored_is_said(vits):
    prompted = Request(id="p", text="x", prompt=Prompt(audio=Clip(np.zeros(9), 9)))
    assert len(limit_notes(vits, [prompted])) == 1


def test_a_tokenizer_that_needs_another_package_names_it(tmp_path, monkeypatch):
    import tts_eval.synthesizers.text_to_audio.vits as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    folder = write_vits(tmp_path / "roman", is_uroman=True)
    with pytest.raises(MissingDependencyError, match="pip install 'uroman'"):
        load_synthesizer(f"transformers:{folder},device=cpu")


def test_folders_without_a_usable_model_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_synthesizer(f"transformers:{tmp_path},device=cpu")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WeightsError, match="of type 'bert'; expected a model of type speecht5 or vits"):
        load_synthesizer(f"transformers:{tmp_path},device=cpu")
    (tmp_path / "config.json").write_text('{"model_type": "vits"}')
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_synthesizer(f"transformers:{tmp_path},device=cpu")


@pytest.mark.parametrize(
    ("argument", "problem"),
    [("", "needs a checkpoint"), ("a/b,device=tpu", "expected cpu"), ("a/b,speaker=x", "number of a speaker")],
)
def test_what_is_wrong_with_options_is_said(argument, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_options(argument)


def test_a_hub_name_may_have_a_revision():
    options = parse_options("facebook/mms-tts-eng@main,device=cuda:1")
    assert (options.source.name, options.source.revision, options.device) == ("facebook/mms-tts-eng", "main", "cuda:1")
