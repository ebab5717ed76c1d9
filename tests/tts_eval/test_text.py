from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_eval.errors import UnknownNameError
from tts_eval.provenance import PACKAGES
from tts_eval.text import load_languages, load_protocol, protocols

PINNED = json.loads((Path(__file__).parents[1] / "golden" / "protocols.json").read_text(encoding="utf-8"))
GOLDEN, CHINESE = PINNED["cases"], PINNED["chinese"]
TRADITIONAL = str.maketrans("愛們說臺灣氣", "爱们说台湾气")
NAMES = [entry.name for entry in protocols]
words = st.lists(st.sampled_from(["one", "two", "three", "four"]), min_size=1, max_size=8).map(" ".join)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["why"])
def test_golden_case(case, name):
    counts = load_protocol(name).counts(case["reference"], case["hypothesis"])
    assert [counts.errors, counts.reference_length] == case["expected"][name]


@pytest.fixture
def zhconv(monkeypatch) -> list[str]:
    """The package's one function, for six characters; what it was asked for."""
    locales: list[str] = []

    def convert(text: str, locale: str) -> str:
        locales.append(locale)
        return text.translate(TRADITIONAL)

    monkeypatch.setitem(sys.modules, "zhconv", SimpleNamespace(convert=convert))
    return locales


@pytest.mark.parametrize("case", CHINESE, ids=lambda case: case["why"])
def test_golden_chinese_case(zhconv, case):
    for name, expected in case["expected"].items():
        counts = load_protocol(name, "zh").counts(case["reference"], case["hypothesis"])
        assert [counts.errors, counts.reference_length] == expected
    assert set(zhconv) == {"zh-cn"}


def test_which_languages_a_protocol_covers():
    assert {name: list(load_languages(name)) for name in NAMES} == {
        "seed-tts@1": ["en", "zh"],
        "f5@1": ["en", "zh"],
        "whisper-norm@1": ["en"],
        "librispeech@1": ["en"],
    }
    assert set(CHINESE[0]["expected"]) == {name for name in NAMES if "zh" in load_languages(name)}
    with pytest.raises(UnknownNameError, match=r"'seed-tts@1' does not cover the language 'de', only en, zh\."):
        load_protocol("seed-tts@1", "de")


def test_chinese_characters_stand_side_by_side_in_an_alignment(zhconv):
    chunks = load_protocol("seed-tts@1", "zh").alignment("今天，天气好", "今天天汽好")
    assert [(chunk.kind, chunk.reference, chunk.hypothesis) for chunk in chunks] == [
        ("equal", "今天天", "今天天"),
        ("substitute", "气", "汽"),
        ("equal", "好", "好"),
    ]


def test_every_protocol_has_a_version_and_golden_cases():
    assert all(name.partition("@")[2].isdigit() for name in NAMES)
    assert all(set(case["expected"]) == set(NAMES) for case in GOLDEN)


# openai-whisper leaves the file of its spelling table to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*english.json:pytest.PytestUnraisableExceptionWarning")
def test_whisper_norm_is_openais_own_normaliser(data):
    official = pytest.importorskip("whisper.normalizers").EnglishTextNormalizer()
    sentences = (data / "texts" / "vctk_sentences.txt").read_text(encoding="utf-8").splitlines()[::40]
    odd = [
        "$1,234.56 on the 3rd of May 1999",
        "Mr. O'Neill's 2½ kilos",
        "twenty-one point five per cent",
        "I'd've [x] (y)",
    ]
    golden = [case[side] for case in GOLDEN for side in ("reference", "hypothesis")]
    ours = load_protocol("whisper-norm@1")
    for sentence in [*sentences, *odd, *golden]:
        assert ours.normalise_reference(sentence) == official(sentence)


@pytest.mark.parametrize("name", NAMES)
@given(reference=words, hypothesis=words)
def test_edits_explain_the_lengths(name, reference, hypothesis):
    protocol = load_protocol(name)
    counts = protocol.counts(reference, hypothesis)
    heard = len(protocol.normalise_hypothesis(hypothesis).split())
    assert counts.reference_length - counts.deletions + counts.insertions == heard
    assert (counts.rate == 0) == (protocol.reference(reference) == protocol.reference(hypothesis))


@pytest.mark.parametrize("name", NAMES)
@given(reference=words, hypothesis=words)
def test_alignment_holds_every_word_of_both_sides(name, reference, hypothesis):
    protocol = load_protocol(name)
    chunks = protocol.alignment(reference, hypothesis)
    assert " ".join(chunk.reference for chunk in chunks if chunk.reference) == protocol.reference(reference)
    assert " ".join(chunk.hypothesis for chunk in chunks if chunk.hypothesis) == protocol.reference(hypothesis)


def test_alignment_marks_what_differs():
    chunks = load_protocol("librispeech@1").alignment("the cat sat down", "the hat sat")
    assert [(chunk.kind, chunk.reference, chunk.hypothesis) for chunk in chunks] == [
        ("equal", "the", "the"),
        ("substitute", "cat", "hat"),
        ("equal", "sat", "sat"),
        ("delete", "down", ""),
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "  ", "..."])
def test_a_reference_without_words_is_refused(name, text):
    protocol = load_protocol(name)
    assert protocol.reference(text) == ""
    with pytest.raises(ValueError, match="is empty under protocol"):
        protocol.counts(text, "anything")


def test_a_typo_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="Did you mean 'seed-tts@1'"):
        load_protocol("seed-tts@2")


def test_a_run_records_the_versions_of_what_decides_its_error_rates():
    assert {"jiwer", "whisper-normalizer", "zhon", "zhconv", "funasr"} <= set(PACKAGES)
