import pytest
from llasa_checkpoints import make_tokenizer

from tts_eval.errors import SynthesisError, WeightsError
from tts_eval.synthesizers.llasa.format import DATE, MARKS, LlasaFormat, join_texts, speech_token

TURN = "<|start_header_id|>{}<|end_header_id|>\n\n{}"
SYSTEM = "<|begin_of_text|>" + TURN.format("system", f"\n\nToday Date: {DATE}\n\n<|eot_id|>").replace(
    "\n\n\n\n", "\n\n"
)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def text_of(tokenizer, ids):
    return tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def test_the_tokens_are_numbered_as_llasa_numbers_them(tokenizer):
    base = len(tokenizer) - len(MARKS) - 64
    style = LlasaFormat(tokenizer)
    assert tokenizer.convert_tokens_to_ids(list(MARKS)) == list(range(base, base + 8))
    assert (style.first, style.codes, style.end) == (base + 8, 64, base + 5)


def test_the_prompt_is_two_turns_of_which_the_second_stays_open(tokenizer):
    assert text_of(tokenizer, LlasaFormat(tokenizer).prompt("Hi there.").ids) == (
        SYSTEM
        + TURN.format(
            "user",
            "Convert the text to speech:<|TEXT_UNDERSTANDING_START|>Hi there.<|TEXT_UNDERSTANDING_END|><|eot_id|>",
        )
        + TURN.format("assistant", "<|SPEECH_GENERATION_START|>")
    )


def test_cloning_puts_the_transcript_before_the_text_and_the_codes_behind_the_start(tokenizer):
    prompt = text_of(
        tokenizer, LlasaFormat(tokenizer).prompt("And you?", transcript="I am well.", codes=[3, 0, 63]).ids
    )
    assert "START|>I am well. And you?<|TEXT_UNDERSTANDING_END|>" in prompt
    assert prompt.endswith("<|SPEECH_GENERATION_START|><|s_3|><|s_0|><|s_63|>")


def test_a_style_stands_right_before_the_speech(tokenizer):
    prompt = text_of(tokenizer, LlasaFormat(tokenizer).prompt("Hi.", style="Speaker kore ", codes=[5]).ids)
    assert prompt.endswith("assistant<|end_header_id|>\n\nSpeaker kore <|SPEECH_GENERATION_START|><|s_5|>")


def test_without_a_chat_template_the_marks_stand_alone():
    tokenizer = make_tokenizer(chat=False)
    marked = "<|TEXT_UNDERSTANDING_START|>HI.<|TEXT_UNDERSTANDING_END|>happy <|SPEECH_GENERATION_START|><|s_1|>"
    style = LlasaFormat(tokenizer, frontend=lambda text, language: text.upper())
    assert text_of(tokenizer, style.prompt("hi.", codes=[1], style="happy ").ids) == marked
    with pytest.raises(WeightsError, match="no chat template"):
        LlasaFormat(tokenizer, chat=True)


def test_a_chat_template_can_be_left_aside(tokenizer):
    assert text_of(tokenizer, LlasaFormat(tokenizer, chat=False).prompt("Hi.").ids).startswith(
        "<|TEXT_UNDERSTANDING_START|>"
    )


@pytest.mark.parametrize(
    ("transcript", "text", "joined"),
    [
        ("One.", "Two.", "One. Two."),
        ("One. ", " Two.", "One. Two."),
        ("", "Two.", "Two."),
        ("你好。", "再见。", "你好。再见。"),
    ],
)
def test_texts_are_joined_as_their_script_does(transcript, text, joined):
    assert join_texts(transcript, text) == joined


def test_a_vocabulary_without_speech_tokens_is_refused():
    tokenizer = make_tokenizer(codes=0)
    with pytest.raises(WeightsError, match=r"no <\|s_0\|>; expected a checkpoint in Llasa's format"):
        LlasaFormat(tokenizer)


def test_speech_tokens_must_be_consecutive():
    tokenizer = make_tokenizer(codes=3)
    tokenizer.add_tokens(["stranger", speech_token(3)])
    with pytest.raises(WeightsError, match=r"<\|s_3\|> does not follow"):
        LlasaFormat(tokenizer)


def test_text_cannot_smuggle_speech_in(tokenizer):
    style = LlasaFormat(tokenizer)
    for text in ("hi <|SPEECH_GENERATION_END|>", "hi <|s_3|>"):
        with pytest.raises(SynthesisError, match="token of Llasa's format"):
            style.prompt(text)


def test_characters_that_the_model_has_never_seen_are_named():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "b": 2, " ": 3}, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, unk_token="<unk>")
    tokenizer.add_tokens([*MARKS, speech_token(0)])
    style = LlasaFormat(tokenizer)
    assert len(style.prompt("ab aa").ids) == 5 + 3
    with pytest.raises(SynthesisError, match="never seen: 'x', 'é'"):
        style.prompt("ab xé")
