"""Folders as people have them, and what no training may see."""

from pathlib import Path

import numpy as np
import pytest

from tts_eval.audio import Clip, write_audio
from tts_eval.errors import DataError
from tts_eval.phonemes import SYMBOLS, phonemize, speech_sounds
from tts_eval.recipes.corpus import (
    HELD_OUT_SPEAKERS,
    HELD_OUT_TEXTS,
    is_held_out,
    read_corpus,
    split_held_out,
    stable_fraction,
)


def write_clip(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, Clip(np.zeros(int(16_000 * seconds), np.float32), 16_000))


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def voices(folder: Path) -> None:
    write_clip(folder / "af_sky/0007.wav")
    write_text(
        folder / "metadata.tsv",
        "id\tvoice\tseconds\ttext\tphonemes\n0007\taf_sky\t0.50\tHello.\thəlˈO.\n0008\taf_sky\t1.00\tNo clip.\tnˈO.\n",
    )


def ljspeech(folder: Path) -> None:
    write_clip(folder / "wavs/LJ001-0001.wav")
    write_text(folder / "metadata.csv", "LJ001-0001|In 1930.|In nineteen thirty.\n")


def librispeech(folder: Path) -> None:
    write_clip(folder / "dev/19/198/19-198-0000.flac")
    write_text(folder / "dev/19/198/19-198.trans.txt", "19-198-0000 WHAT DO I KNOW\n")


def libritts(folder: Path) -> None:
    write_clip(folder / "dev/19/198/19_198_000000_000000.wav")
    write_text(folder / "dev/19/198/19_198_000000_000000.normalized.txt", "What do I know?\n")


@pytest.mark.parametrize(
    ("layout", "name", "speaker", "text"),
    [
        (voices, "corpus/af_sky/0007", "af_sky", "Hello."),
        (ljspeech, "corpus/LJ001-0001", "corpus", "In nineteen thirty."),
        (librispeech, "librispeech/19-198-0000", "librispeech-19", "what do I know"),
        (libritts, "libritts/19_198_000000_000000", "librispeech-19", "What do I know?"),
    ],
)
def test_layouts(tmp_path, layout, name, speaker, text):
    layout(tmp_path / "corpus")
    (utterance,) = read_corpus(tmp_path / "corpus")
    assert (utterance.id, utterance.speaker, utterance.text) == (name, speaker, text)
    assert utterance.seconds == 0.5
    assert utterance.phonemes
    assert utterance.path.is_file()


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="LJSpeech"):
        read_corpus(tmp_path)


def test_a_broken_listing_names_its_line(tmp_path):
    voices(tmp_path)
    with (tmp_path / "metadata.tsv").open("a") as listing:
        listing.write("0009 af_sky\n")
    with pytest.raises(DataError, match="line 4"):
        read_corpus(tmp_path)


def test_a_sentence_is_held_out_however_it_is_written():
    sentences = [f"Sentence {number} of many" for number in range(2000)]
    held_out = [sentence for sentence in sentences if is_held_out(sentence)]
    assert len(held_out) == pytest.approx(HELD_OUT_TEXTS * len(sentences), rel=0.25)
    assert all(is_held_out(f"({sentence.upper()}!)") for sentence in held_out)
    assert stable_fraction("librispeech-669") == pytest.approx(0.011363344)  # for ever


def test_held_out_speakers_and_sentences_are_split_off(tmp_path):
    rows = ["id\tvoice\tseconds\ttext\tphonemes"]
    for voice in ("af_nova", "af_sky"):
        for number in range(60):
            rows.append(f"{number}\t{voice}\t0.50\tSentence {number} of many\tsˈɛntəns")
            write_clip(tmp_path / voice / f"{number}.wav", 0.01)
    write_text(tmp_path / "metadata.tsv", "\n".join(rows))
    free, held_out = split_held_out(read_corpus(tmp_path))
    assert len(free) + len(held_out) == 120
    assert {each.speaker for each in free} == {"af_sky"}
    assert not any(is_held_out(each.text) for each in free)
    assert {each.speaker for each in held_out} == {"af_nova", "af_sky"}


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("They joined a choir, my own now.", "ðA ʤˈYnd ə kwˈIɚ, mI ˈOn nˈW."),
        ("The bottle is finally beaten!", "ðə bˈɑɾᵊl ɪz fˈInᵊli bˈitᵊn!"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_phonemes(text, phonemes):
    assert phonemize(text) == phonemes
    assert set(speech_sounds(phonemes)) <= set(SYMBOLS)


def test_kokoro_speech_reads_as_it_was_made(data):
    """Its phonemes come from the same espeak-ng; ours differ in one of 800."""
    utterances = read_corpus(data / "kokoro-speech")
    assert len({each.text for each in utterances if is_held_out(each.text)}) == pytest.approx(200, abs=30)
    assert {each.speaker for each in utterances} >= {"af_nova", "am_liam", "bf_lily", "bm_fable"}
    sample = utterances[::40]
    same = sum(speech_sounds(phonemize(each.text)) == speech_sounds(each.phonemes) for each in sample)
    assert same / len(sample) > 0.9


def test_librispeech_has_the_held_out_speakers(data):
    speakers = {each.speaker for each in read_corpus(data / "LibriSpeech")}
    assert len(speakers & HELD_OUT_SPEAKERS) == 3
