"""From transcript to WER by the official scripts' rules, restated here with an edit distance of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from zhon.hanzi import punctuation

from tts_eval.edits import compare, words
from tts_eval.text import load_protocol

ASCII_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
KEPT = {"seed-tts@1": "'", "f5@1": ""}
SIMPLIFIED = str.maketrans("愛們說臺灣氣", "爱们说台湾气")
PINNED = json.loads((Path(__file__).parents[1] / "golden" / "protocols.json").read_text(encoding="utf-8"))

ENGLISH = [
    *((case["reference"], case["hypothesis"]) for case in PINNED["cases"]),
    ("“Curly” and ‘single’ quotes", "curly and single quotes"),
    ("“Curly” and ‘single’ quotes", "\"curly\" and 'single' quotes"),
    ("rock ’n’ roll", "rock 'n' roll"),
    ("the dogs' bowls", "the dogs bowls"),
    ("'twas brillig", "twas brillig"),
    ("O'Neill's", "oneills"),
    ("mother-in-law", "mother in law"),
    ("mother-in-law", "motherinlaw"),
    ("a – b — c", "a b c"),
    ("a--b", "a b"),
    ("re-enter, co-operate", "reenter cooperate"),
    ("two  spaces", "two spaces"),
    ("three   spaces", "three spaces"),
    ("four    spaces here", "four spaces"),
    (" leading and trailing ", "leading and trailing"),
    ("dash - between  words", "dash between words"),
    ("one , two ; three", "one two three"),
    ("in 1984", "in nineteen eighty four"),
    ("1,000 men", "1000 men"),
    ("3.14", "314"),
    ("3.14", "three point one four"),
    ("10:30 a.m.", "1030 am"),
    ("50% of $5", "50 of 5"),
    ("£5 and €6", "5 and 6"),
    ("C++ and C#", "c and c"),
    ("a@b.com", "abcom"),
    ("(brackets) [square] {curly}", "brackets square curly"),
    ("tilde~ hat^ tick`", "tilde hat tick"),
    ("back\\slash", "backslash"),
    ("under_score", "under score"),
    ("naïve café", "naive cafe"),
    ("Straße", "STRASSE"),
    ("İstanbul", "istanbul"),
    ("ALL CAPITALS", "all capitals"),
    ("hello", "hello hello hello"),
    ("a", "b c d e f"),
    ("one two three four", "five"),
    ("one two three four", "four three two one"),
    ("one two three four", "one three two four five"),
    ("the the the", "the"),
    ("…", "word"),
    ("...", ""),
    ("", ""),
    ("", "a b"),
    ("“”", "two words"),
    ("wait…", "wait"),
    ("、。chinese，marks", "chinese marks"),
    ("〈brackets〉《double》", "brackets double"),
    ("x＆y％", "xy"),
    ("50 °C", "50 c"),
    ("3 × 4 = 12", "3 4 12"),
    ("word\u00a0joined", "word joined"),
    ("tab\tseparated", "tab separated"),
]  # fmt: skip
CHINESE = [
    *((case["reference"], case["hypothesis"]) for case in PINNED["chinese"]),
    ("我爱你们。", "我愛你們"),
    ("说臺灣", "說台湾"),
    ("用Python写代码", "用python写代码"),
    ("用Python写代码", "用 Python 写代码"),
    ("AI 技术", "AI技术"),
    ("A  B", "AB"),
    ("这是“引号”和《书名》", "这是引号和书名"),
    ("他说：“好！”", "他说好"),
    ("二〇二四年", "2024年"),
    ("百分之五十", "50%"),
    ("八百标兵奔北坡，炮兵并排北边跑", "八百标兵北坡炮兵并排北边跑跑"),
    ("四是四，十是十", "十是十，四是四"),
    ("天气", "天气天气天气天气"),
    ("。。。", "好"),
    ("", "好"),
    ("It's 好", "It’s 好"),
    ("don't", "dont"),
    ("嗯……好", "嗯好"),
    ("Ｇ２０峰会", "G20峰会"),
]  # fmt: skip


def cleaned(text: str, language: str, kept: str) -> list[str]:
    """What the script compares: marks deleted one kind after another, pairs of spaces halved once, then units."""
    for mark in [*punctuation, *ASCII_MARKS]:
        if mark not in kept:
            text = text.replace(mark, "")
    text = text.replace("  ", " ")
    text = " ".join(text) if language == "zh" else text.lower()
    return [word for word in " ".join(text.split("  ")).strip().split(" ") if word]


def distance(wanted: list[str], heard: list[str]) -> int:
    """Edit distance, by its table."""
    row = list(range(len(heard) + 1))
    for i, unit in enumerate(wanted, start=1):
        before, row = row, [i]
        for j, other in enumerate(heard, start=1):
            row.append(min(row[j - 1] + 1, before[j] + 1, before[j - 1] + (unit != other)))
    return row[-1]


def official(wanted: list[str], heard: list[str]) -> float:
    return distance(wanted, heard) / max(len(wanted), 1)


@pytest.fixture(autouse=True)
def zhconv(monkeypatch) -> None:
    """The package's one function, for six characters."""
    convert = SimpleNamespace(convert=lambda text, locale: text.translate(SIMPLIFIED))
    monkeypatch.setitem(sys.modules, "zhconv", convert)


def test_there_are_enough_pairs():
    assert len(set(ENGLISH)) >= 60
    assert len(set(CHINESE)) >= 25


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize(
    ("language", "reference", "hypothesis"),
    [*(("en", *pair) for pair in ENGLISH), *(("zh", *pair) for pair in CHINESE)],
)
def test_the_rate_is_the_official_scripts(name, language, reference, hypothesis):
    protocol = load_protocol(name, language)
    heard = hypothesis.translate(SIMPLIFIED) if language == "zh" else hypothesis
    wanted = cleaned(reference, language, KEPT[name])
    expected = official(wanted, cleaned(heard, language, KEPT[name]))
    normalised = [words(protocol.normalise_reference(reference)), words(protocol.normalise_hypothesis(hypothesis))]
    assert compare(*normalised).counts.rate == pytest.approx(expected, abs=1e-9)
    if protocol.reference(reference):
        assert protocol.counts(reference, hypothesis).rate == pytest.approx(expected, abs=1e-9)
    else:  # the script would print 0, or the number of words heard; we have no number for a text that says nothing
        with pytest.raises(ValueError, match="is empty under protocol"):
            protocol.counts(reference, hypothesis)


@pytest.mark.parametrize(
    ("name", "language", "reference", "hypothesis", "rate"),
    [
        ("seed-tts@1", "en", "Don’t go, it’s late.", "Don't go, it's late.", 2 / 4),
        ("seed-tts@1", "en", "three   spaces", "three spaces", 0.0),
        ("seed-tts@1", "en", "mother-in-law", "mother in law", 3.0),
        ("seed-tts@1", "en", "'twas brillig", "twas brillig", 1 / 2),
        ("f5@1", "en", "'twas brillig", "twas brillig", 0.0),
        ("seed-tts@1", "en", "in 1984", "in nineteen eighty four", 3 / 2),
        ("seed-tts@1", "en", "yes", "yes yes yes yes", 3.0),
        ("seed-tts@1", "zh", "用Python写代码", "用python写代码", 1 / 10),
        ("seed-tts@1", "zh", "百分之五十", "50%", 5 / 5),
        ("seed-tts@1", "zh", "天气", "天气天气天气天气", 3.0),
        ("seed-tts@1", "zh", "don't", "dont", 1 / 5),
        ("f5@1", "zh", "don't", "dont", 0.0),
    ],
)
def test_rates_worked_out_by_hand(name, language, reference, hypothesis, rate):
    assert load_protocol(name, language).counts(reference, hypothesis).rate == pytest.approx(rate, abs=1e-9)


# openai-whisper leaves the file of its spelling table to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*english.json:pytest.PytestUnraisableExceptionWarning")
def test_whisper_norm_is_the_distance_after_openais_own_normaliser():
    normalise = pytest.importorskip("whisper.normalizers").EnglishTextNormalizer()
    protocol = load_protocol("whisper-norm@1")
    for reference, hypothesis in ENGLISH:
        wanted, heard = normalise(reference).split(), normalise(hypothesis).split()
        if protocol.reference(reference):
            rate = protocol.counts(reference, hypothesis).rate
            assert rate == pytest.approx(official(wanted, heard), abs=1e-9), (reference, hypothesis)
