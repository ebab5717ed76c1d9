import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from llasa_checkpoints import make_tokenizer, save_checkpoint, save_codec

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError, SynthesisError, TTSEvalError, WeightsError
from tts_eval.execution import SerialExecutor
from tts_eval.store import RunStore
from tts_eval.stored import StoredSynthesizer
from tts_eval.synthesizers import load_synthesizer
from tts_eval.synthesizers.llasa.synthesizer import LlasaSynthesizer
from tts_eval.synthesizers.llasa.words import WordFormat
from tts_eval.types import FailureKind, FinishReason, Prompt, Request, Sampling


def load(folder: Path, options: str = ""):
    return load_synthesizer(f"llasa:{folder},device=cpu{options}")


def with_notes(checkpoint: Path, folder: Path, **notes) -> Path:
    shutil.copytree(checkpoint, folder)
    (folder / "tts_eval.json").write_text(json.dumps({"codec": "codec"} | notes))
    return folder


def tokens(candidates):
    return [candidate.tokens.tolist() for candidate in candidates]


def test_candidates_have_audio_of_their_tokens_and_stop_at_the_end(llasa, requests, jobs_for):
    made = llasa.generate(jobs_for(requests, 8, max_seconds=2.0))
    assert {candidate.finish for candidate in made} == {FinishReason.EOS, FinishReason.LENGTH}
    for candidate in made:
        assert candidate.clip.rate == 16_000
        assert len(candidate.clip.samples) == 320 * len(candidate.tokens)
        assert candidate.tokens.max(initial=0) < 64
        assert candidate.cost.audio_seconds == candidate.clip.seconds
    assert llasa.step_seconds == 0.02


def test_steps_that_only_hear_count_for_the_steps_of_a_second_and_not_for_the_frames(llasa, jobs_for):
    words = LlasaSynthesizer(replace(llasa._loaded, format=WordFormat(llasa._format, None)))
    assert words.step_seconds == pytest.approx(1 / (50 + 19))
    (job,) = jobs_for([Request(id="r", text="one two three")], 1, max_seconds=1.0)
    (plain,), (scripted,) = (voice._starts(job, voice._openings(job.request)) for voice in (llasa, words))
    assert scripted.limit - scripted.opening.heard_steps == plain.limit == 50


def test_a_row_that_never_stops_is_kept_whole_and_says_length(checkpoint, tmp_path, requests, jobs_for):
    from safetensors.torch import load_file, save_file

    folder = with_notes(checkpoint, tmp_path / "endless")
    weights = load_file(folder / "model.safetensors")
    end = make_tokenizer().convert_tokens_to_ids("<|SPEECH_GENERATION_END|>")
    weights["lm_head.weight"][end] = 0.0
    weights["lm_head.weight"][end + 3 :] *= 3.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    endless = load(folder)
    made = endless.generate(jobs_for(requests, 2, Sampling(temperature=0.0), max_seconds=0.8))
    assert {(candidate.finish, len(candidate.tokens)) for candidate in made} == {(FinishReason.LENGTH, 40)}
    # Two characters bound the duration, not max_seconds; and after that the context does.
    (short,) = endless.generate(jobs_for(requests[:1], 1, Sampling(temperature=0.0), max_seconds=30.0))
    assert (short.finish, len(short.tokens)) == (FinishReason.LENGTH, 120)
    cramped = load(with_notes(folder, tmp_path / "cramped", context=330))
    (cut,) = cramped.generate(jobs_for(requests[2:], 1, Sampling(temperature=0.0), max_seconds=30.0))
    (opening,) = cramped._openings(requests[2])
    assert (cut.finish, len(cut.tokens)) == (FinishReason.LENGTH, 330 - len(opening.inputs))


def test_the_prompt_and_the_style_change_what_is_said(llasa, checkpoint, tmp_path, voice, jobs_for):
    def say(synthesizer, prompt):
        return tokens(synthesizer.generate(jobs_for([Request(id="r", text="Good day.", prompt=prompt)], 1)))

    other = Clip(voice.samples[::-1].copy(), voice.rate)
    cloned = Prompt(audio=voice, transcript="One.")
    different = [
        say(llasa, p) for p in (None, cloned, replace(cloned, audio=other), replace(cloned, transcript="Two."))
    ]
    assert len({str(said) for said in different}) == 4
    assert say(llasa, replace(cloned, style="happy")) == say(llasa, cloned)
    styled = load(with_notes(checkpoint, tmp_path / "styled", style="Speaker {style} "))
    assert say(styled, replace(cloned, style="happy")) != say(styled, cloned) == say(llasa, cloned)


def test_a_checkpoint_says_how_text_enters(tmp_path, checkpoint, jobs_for):
    from tts_eval.synthesizers.llasa.format import frontends

    frontends.add("shouted", "test", "for this test") if "shouted" not in frontends else None
    frontends._objects["shouted"] = lambda text, language: text.upper()
    shouting = load(with_notes(checkpoint, tmp_path / "shouted", text="shouted", chat=False))
    quiet = load(with_notes(checkpoint, tmp_path / "quiet", chat=False))
    loud, soft = Request(id="r", text="HI THERE."), Request(id="r", text="Hi there.")
    assert tokens(shouting.generate(jobs_for([soft], 2))) == tokens(quiet.generate(jobs_for([loud], 2)))
    assert tokens(shouting.generate(jobs_for([soft], 2))) != tokens(quiet.generate(jobs_for([soft], 2)))
    with pytest.raises(TTSEvalError, match=r"Unknown text frontend 'shoutd'.*'shouted'"):
        load(with_notes(checkpoint, tmp_path / "typo", text="shoutd"))


def test_a_checkpoint_says_what_a_temperature_of_one_means(llasa, checkpoint, tmp_path, requests, jobs_for):
    cool = load(with_notes(checkpoint, tmp_path / "cool", temperature=0.5))
    own = tokens(cool.generate(jobs_for(requests, 2)))
    assert own == tokens(llasa.generate(jobs_for(requests, 2, Sampling(temperature=0.5))))
    assert own != tokens(llasa.generate(jobs_for(requests, 2)))
    with pytest.raises(WeightsError, match=r"temperature is 0; expected a number above 0"):
        load(with_notes(checkpoint, tmp_path / "frozen", temperature=0))


BAD = {
    "no transcript": (lambda voice: Request(id="bad", text="Hi.", prompt=Prompt(audio=voice)), "no transcript"),
    "long prompt": (
        lambda voice: Request(
            id="bad", text="Hi.", prompt=Prompt(audio=Clip(np.tile(voice.samples, 60), 16_000), transcript="One.")
        ),
        "before any speech; the model has room for",
    ),
    "long text": (lambda voice: Request(id="bad", text="Well, no. " * 300), "chunk=on"),
    "no numbers": (
        lambda voice: Request(
            id="bad", text="Hi.", prompt=Prompt(audio=Clip(voice.samples * np.nan, 16_000), transcript="One.")
        ),
        "samples that are no numbers",
    ),
    "no words": (lambda voice: Request(id="bad", text="...!"), "nothing to say"),
    "marks": (lambda voice: Request(id="bad", text="Hi <|s_1|>."), "token of Llasa's format"),
    "no file": (
        lambda voice: Request(id="bad", text="Hi.", prompt=Prompt(audio=Path("/nowhere.wav"), transcript="One.")),
        "No audio file",
    ),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_what_cannot_be_said_fails_alone_and_before_anything_is_generated(llasa, requests, jobs_for, voice, kind):
    make, message = BAD[kind]
    bad, good = jobs_for([make(voice), requests[0]], 1)
    failed, made = llasa.generate([bad, good])
    assert failed.finish is FinishReason.FAILED
    assert failed.failure.kind is FailureKind.SYNTHESIS
    assert message in failed.failure.message
    assert tokens([made]) == tokens(llasa.generate([good]))
    with pytest.raises(TTSEvalError, match=message):
        llasa.begin([good, bad])


def test_a_vocabulary_without_speech_tokens_is_refused(checkpoint, tmp_path):
    folder = with_notes(checkpoint, tmp_path / "mute")
    make_tokenizer(codes=0).save_pretrained(folder)
    with pytest.raises(WeightsError, match="A plain Llama cannot speak"):
        load(folder)


def test_a_codec_of_another_rate_or_size_is_refused(checkpoint, tmp_path):
    folder = with_notes(checkpoint, tmp_path / "slow", codes_per_second=25)
    with pytest.raises(WeightsError, match=r"50 codes a second \(hop 320 at 16000 Hz\), but .* trained with 25"):
        load(folder)
    save_codec(tmp_path / "small", levels=(4, 4))
    with pytest.raises(WeightsError, match=r"16 codes, but the vocabulary of .* has 64 speech tokens"):
        load(checkpoint, f",codec={tmp_path / 'small'}")


def test_pickled_weights_are_never_read(checkpoint, tmp_path):
    folder = with_notes(checkpoint, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({"boom": 1}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"only pytorch_model.bin, which can run code.*expected \*.safetensors"):
        load(folder)
    codec = with_notes(checkpoint, tmp_path / "other") / "codec"
    (codec / "model.safetensors").rename(codec / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"\(codec\) has only pytorch_model.bin"):
        load(codec.parent)


def test_damaged_checkpoints_are_named(checkpoint, tmp_path):
    folder = with_notes(checkpoint, tmp_path / "damaged")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="damaged cannot be loaded as a Llama"):
        load(folder)
    (folder / "tts_eval.json").write_text('{"rate": 16000}')
    with pytest.raises(WeightsError, match=r"tts_eval.json: rate unknown"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"has no config.json"):
        load(folder)


def test_other_models_are_refused(checkpoint, tmp_path):
    folder = with_notes(checkpoint, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
    with pytest.raises(WeightsError, match="is a 'qwen2'; expected a Llama"):
        load(folder)
    codec = json.loads((checkpoint / "codec" / "config.json").read_text()) | {"model_type": "mimi"}
    shutil.copytree(checkpoint / "codec", tmp_path / "mimi")
    (tmp_path / "mimi" / "config.json").write_text(json.dumps(codec))
    with pytest.raises(WeightsError, match=r"codec of kind 'mimi'; expected one of: .*xcodec2"):
        load(checkpoint, f",codec={tmp_path / 'mimi'}")


def test_a_gpu_that_is_not_there_is_refused(checkpoint):
    with pytest.raises(ConfigError, match=r"PyTorch sees . CUDA devices here; use device=cpu"):
        load_synthesizer(f"llasa:{checkpoint},device=cuda:9")


def test_neither_folder_nor_hub_name(tmp_path):
    with pytest.raises(WeightsError, match="no possible name on the hub"):
        load(tmp_path / "not" / "here" / "at" / "all")


def test_a_hub_name_is_downloaded_at_its_revision_without_pickles(checkpoint, monkeypatch):
    asked = {}

    def snapshot_download(name, *, revision, allow_patterns):
        asked[name] = (revision, allow_patterns)
        return str(checkpoint if name == "me/llasa" else checkpoint / "codec")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert load_synthesizer("llasa:me/llasa@v3,device=cpu,codec=me/codec").revision == load(checkpoint).revision
    assert asked["me/llasa"][0] == "v3" and asked["me/codec"][0] is None
    assert not any(pattern.endswith((".bin", ".pt", "*")) for pattern in asked["me/llasa"][1])


def test_weights_and_settings_are_part_of_the_revision(llasa, checkpoint, tmp_path):
    assert load(checkpoint).revision == llasa.revision
    assert load(checkpoint, ",dtype=bfloat16").revision != llasa.revision
    assert load(checkpoint, ",chunk=on").revision != llasa.revision
    assert load(checkpoint, ",rows=3").revision == llasa.revision
    assert load(with_notes(checkpoint, tmp_path / "copy")).revision == llasa.revision
    save_codec(tmp_path / "codec", levels=(8, 8))
    other = load(checkpoint, f",codec={tmp_path / 'codec'}")
    assert other.revision != llasa.revision
    changed = with_notes(checkpoint, tmp_path / "changed", context=512)
    assert load(changed).revision != llasa.revision


def test_few_rows_at_a_time_say_the_same(llasa, checkpoint, requests, jobs_for):
    jobs = jobs_for(requests, 3)
    few = load(checkpoint, ",rows=2")
    assert tokens(few.generate(jobs)) == tokens(llasa.generate(jobs))
    assert (few.most_rows, llasa.most_rows) == (2, 32)


def test_half_precision_speaks(checkpoint, requests, jobs_for):
    made = load(checkpoint, ",dtype=bfloat16").generate(jobs_for(requests, 2))
    assert all(len(candidate.tokens) > 0 for candidate in made)


def test_long_texts_are_made_of_chunks(llasa, checkpoint, jobs_for, voice):
    chunking = load(checkpoint, ",chunk=on")
    text = "The bell rang twice, and nobody came to the door, so we left. " * 3
    prompt = Prompt(audio=voice, transcript="One.")
    short = Request(id="short", text="Hi there.", prompt=prompt)
    long = Request(id="long", text=text, prompt=prompt)
    jobs = jobs_for([short, long], 2, max_seconds=2.0)
    made = chunking.generate(jobs)
    assert tokens(made[:2]) == tokens(llasa.generate(jobs[:2]))
    assert [len(chunking._openings(request)) for request in (short, long)] == [1, 2]
    for job, candidate in zip(jobs[2:], made[2:], strict=True):
        assert (candidate.index, candidate.seed) == (job.index, job.seed)
        assert len(candidate.clip.samples) == 320 * len(candidate.tokens)
        assert candidate.clip.seconds <= 2 * 2.0
    assert max(candidate.clip.seconds for candidate in made[2:]) > 2.0  # each chunk has max_seconds of its own
    assert tokens(made[2:]) != tokens(llasa.generate(jobs[2:]))
    with pytest.raises(ConfigError, match="chunk=off"):
        chunking.begin(jobs)


def test_a_resumed_run_equals_an_undisturbed_one(llasa, requests, jobs_for, tmp_path):
    class Dies:
        name, revision = llasa.name, llasa.revision

        def __init__(self, after: int) -> None:
            self.left = after

        def generate(self, jobs):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return llasa.generate(jobs)

    def run(synthesizer, folder):
        with RunStore.create(folder) as store:
            stored = StoredSynthesizer(synthesizer, store, SerialExecutor(), batch=2, advance=lambda count: None)
            return stored.generate(jobs)

    jobs = jobs_for(requests, 3)
    with pytest.raises(KeyboardInterrupt):
        run(Dies(after=2), tmp_path / "killed")
    resumed, undisturbed = run(llasa, tmp_path / "killed"), run(Dies(after=9), tmp_path / "whole")
    for first, second in zip(resumed, undisturbed, strict=True):
        assert first.clip.sha256 == second.clip.sha256
        assert first.tokens.tolist() == second.tokens.tolist()
        assert (first.cost.tokens, first.cost.flops) == (second.cost.tokens, second.cost.flops)


def test_without_transformers_the_command_that_installs_it_is_named(checkpoint, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TTSEvalError, match=r"pip install 'tts-eval-harness\[llasa\]'"):
        load(checkpoint)


def test_a_prompt_is_encoded_once(llasa, voice, jobs_for, monkeypatch):
    calls = []
    encode = llasa._engine.codec.encode
    monkeypatch.setattr(llasa._engine.codec, "encode", lambda clip: calls.append(1) or encode(clip))
    fresh = Clip(voice.samples * 0.5, voice.rate)
    requests = [Request(id=text, text=text, prompt=Prompt(audio=fresh, transcript="One.")) for text in ("Hi.", "Ho.")]
    llasa.generate(jobs_for(requests, 2))
    assert len(calls) == 1


def test_a_style_without_its_place_is_refused(checkpoint, tmp_path):
    with pytest.raises(WeightsError, match=r"expected a text with \{style\}"):
        load(with_notes(checkpoint, tmp_path / "odd", style="Speaker "))


def test_a_checkpoint_may_tie_its_matrices(tmp_path, requests, jobs_for):
    folder = save_checkpoint(tmp_path / "tied", tie_word_embeddings=True)
    with pytest.raises(SynthesisError, match="nothing to say"):
        load(folder).begin(jobs_for([Request(id="r", text="-")]))
    assert all(candidate.clip for candidate in load(folder).generate(jobs_for(requests, 1)))
