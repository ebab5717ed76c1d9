import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_eval.synthesizers.llasa.length import longest_seconds, split_text

SENTENCE = "This sentence has exactly fifty characters in it. "


@pytest.mark.parametrize(("sentences", "chunks"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (8, 4)])
def test_one_more_chunk_for_every_hundred_characters(sentences, chunks):
    assert len(SENTENCE) == 50
    assert len(split_text(SENTENCE * sentences)) == chunks


def test_chunks_are_about_equally_long_and_end_with_a_sentence():
    chunks = split_text(SENTENCE * 7)
    assert [len(chunk) for chunk in chunks] == [99, 49, 99, 99]
    assert all(chunk.endswith(".") for chunk in chunks)


def test_a_sentence_is_never_cut():
    assert split_text("word " * 100) == [("word " * 100).strip()]
    assert len(split_text("a" * 240 + ". Short. Also short.")) == 2


def test_chinese_sentences_end_too():
    assert split_text("今" * 60 + "。" + "天" * 60 + "。") == ["今" * 60 + "。", "天" * 60 + "。"]


@given(st.text(alphabet="ab .!?。\"'", max_size=400))
def test_nothing_is_lost(text):
    assert "".join("".join(split_text(text)).split()) == "".join(text.split())


def test_long_texts_may_last_longer():
    assert longest_seconds("Hi.") < longest_seconds("Good morning.") < 6
    assert longest_seconds("1999") > longest_seconds("nine")
    assert longest_seconds("你好") > longest_seconds("hi")
