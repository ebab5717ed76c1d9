"""CTC recognisers: random checkpoints in the real format, against the definition of CTC."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts_eval.audio import Clip
from tts_eval.errors import ConfigError
from verifiers import ctc, load_verifier
from verifiers.recognition import RATE, Utterance
from verifiers.transformers_models import load

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"EATOINSHR'"]
FRAME = 320
"""Samples between two frames; the first needs 400."""


def save_ctc(folder: Path, *, padded: bool = True, letters: list[str] = LETTERS, **changes: Any) -> Path:
    """A random HuBERT with wav2vec 2.0's convolutions; `padded` ones are trained with an attention mask."""
    import torch
    from transformers import HubertConfig, HubertForCTC, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({letter: index for index, letter in enumerate(letters)}))
    Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=padded, do_normalize=True).save_pretrained(folder)
    settings: dict[str, Any] = {
        "vocab_size": len(letters), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "conv_dim": (8,) * 7, "num_conv_pos_embedding_groups": 2,
        "num_conv_pos_embeddings": 8, "feat_extract_norm": "layer" if padded else "group",
        "do_stable_layer_norm": padded, "initializer_range": 1.0,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        HubertForCTC(HubertConfig(**(settings | changes))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_ctc(tmp_path_factory.mktemp("ctc") / "tiny-hubert")


@pytest.fixture(scope="module")
def unmasked(tmp_path_factory) -> Path:
    return save_ctc(tmp_path_factory.mktemp("ctc") / "tiny-base", padded=False)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def utterance(audio: np.ndarray, text: str = "", **changes: Any) -> Utterance:
    return Utterance(audio_16k=audio, text=text, language="en", **changes)


def frames(recogniser: Any, audio: np.ndarray) -> np.ndarray:
    """Log-probabilities [frames, letters] of one clip on its own."""
    import torch

    normal = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    with torch.inference_mode():
        logits = recogniser._model(torch.from_numpy(normal[None].astype(np.float32))).logits[0]
    return np.asarray(logits.log_softmax(-1), dtype=np.float64)


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    """What an alignment spells: repeats merged, then blanks dropped."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != 0)


def test_the_likelihood_is_the_sum_over_all_alignments(folder):
    recogniser: Any = load(str(folder))
    audio = noise((400 + 5 * FRAME) / RATE)
    table = frames(recogniser, audio)
    assert len(table) == 6
    wanted = tuple(LETTERS.index(letter) for letter in "SEE")
    paths = itertools.product(sorted({0, *wanted}), repeat=6)
    expected = math.log(
        sum(
            math.exp(sum(table[time, symbol] for time, symbol in enumerate(path)))
            for path in paths
            if collapsed(path) == wanted
        )
    )
    recogniser.text_tokens = 10**9  # no floor
    (found,) = recogniser.recognise([utterance(audio, "See!")])
    assert found.tokens == 3
    assert found.log_prob == pytest.approx(expected, rel=1e-4)


def test_the_transcript_is_the_best_symbol_of_every_frame(folder):
    recogniser: Any = load(str(folder))
    audio = noise(1.0)
    spelled = "".join(LETTERS[symbol] for symbol in collapsed(tuple(frames(recogniser, audio).argmax(-1).tolist())))
    (found,) = recogniser.recognise([utterance(audio)])
    assert found.text == " ".join(spelled.replace("<s>", "").replace("</s>", "").replace("|", " ").split())
    assert found.text
    double = [LETTERS.index(letter) for letter in ("S", "S", "E", "E")]
    assert recogniser._read([*double, 0, double[-1], 4, 4, 1, double[0], 0]) == "SEE S"


@pytest.mark.parametrize("kind", ["folder", "unmasked"])
def test_a_clip_is_judged_alike_alone_and_among_others(kind, request):
    recogniser = load(str(request.getfixturevalue(kind)))
    clips = [utterance(noise(seconds, index), "one tea") for index, seconds in enumerate((2.0, 0.3, 1.1, 0.01, 0.7))]
    together = recogniser.recognise(clips)
    assert together[0].text != together[2].text
    for clip, transcript in zip(clips, together, strict=True):
        (alone,) = recogniser.recognise([clip])
        assert (alone.text, alone.tokens) == (transcript.text, transcript.tokens)
        assert alone.log_prob == pytest.approx(transcript.log_prob, abs=1e-3)


def test_batches_are_filled_by_seconds_with_their_padding(folder, unmasked, monkeypatch):
    monkeypatch.setattr(ctc, "BATCH_SECONDS", 10)
    monkeypatch.setattr(ctc, "most_together", lambda device, most: most)  # as on a GPU
    lengths = [round(seconds * RATE) for seconds in (4.0, 1.0, 2.0, 3.0, 5.0, 12.0, 1.5)]
    recogniser: Any = load(str(folder))
    batches = list(recogniser._batches(lengths))
    assert batches == [[1, 6, 2, 3][:3], [3, 0], [4], [5]]
    assert all(len(batch) == 1 or len(batch) * lengths[batch[-1]] <= 10 * RATE for batch in batches)
    alone: Any = load(str(unmasked))
    assert sorted(alone._batches(lengths)) == [[index] for index in range(7)]
    assert list(recogniser._batches([])) == []


def test_texts_are_spelled_in_the_models_letters(folder, tmp_path):
    recogniser: Any = load(str(folder))

    def spelled(text: str) -> str:
        return "".join(LETTERS[index] for index in recogniser._spelled(text))

    assert spelled("That’s  no-one; it's 2!") == "THAT'S|NO|ONE|IT'S"
    assert spelled("123 ...") == ""
    small: Any = load(str(save_ctc(tmp_path / "small", letters=["<pad>", "<s>", "</s>", "<unk>", "|", *"abc"])))
    assert [small._letters[letter] for letter in "ab|c"] == small._spelled("AB C")


def test_a_text_that_does_not_fit_counts_as_guesses(folder):
    recogniser = load(str(folder))
    none, long, short = recogniser.recognise(
        [utterance(noise(0.5)), utterance(noise(0.1), "on the other hand" * 5), utterance(noise(0.01), "tea")]
    )
    assert (none.tokens, none.log_prob) == (0, 0.0)
    assert long.log_prob == pytest.approx(-long.tokens * math.log(len(LETTERS)))
    assert (short.text, short.tokens) == ("", 3)
    assert short.log_prob == pytest.approx(-3 * math.log(len(LETTERS)))


def test_no_transcript_is_decoded_when_none_is_wanted(folder, monkeypatch):
    recogniser: Any = load(str(folder))
    clip = utterance(noise(1.0), "one tea")
    (heard,) = recogniser.recognise([clip])
    monkeypatch.setattr(recogniser, "_read", lambda *args, **named: pytest.fail("decoded"))
    (alone,) = recogniser.recognise([replace(clip, transcribe=False)])
    assert (alone.text, alone.tokens, alone.log_prob) == ("", heard.tokens, heard.log_prob)


def test_a_checkpoint_runs_through_both_verifiers(folder, make_item):
    item = make_item(Clip(noise(1.0), RATE), "One tea.")
    (heard,) = load_verifier(f"asr:transformers:{folder}:librispeech@1").score([item])
    (likely,) = load_verifier(f"likelihood:transformers:{folder}").score([item])
    assert heard.failure is None
    assert heard.values["reference_words"] == 2
    assert heard.values["likelihood"] == likely.value
    assert likely.judge.startswith("transformers:tiny-hubert@")
    assert likely.judge.endswith(":float32:ctc")


def test_another_kind_of_ctc_model_is_refused(folder, tmp_path):
    for change in ({"add_adapter": True}, {"conv_kernel": None}):
        copy = save_ctc(tmp_path / "other")
        config = json.loads((copy / "config.json").read_text()) | change
        (copy / "config.json").write_text(
            json.dumps({key: value for key, value in config.items() if value is not None})
        )
        with pytest.raises(ConfigError, match=r"other \(hubert\) is no CTC model on wav2vec 2\.0's convolutions"):
            load(str(copy))
