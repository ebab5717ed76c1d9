"""A tokenizer in Llasa's format whose text tokens are phonemes, one each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tts_eval.phonemes import SYMBOLS
from tts_eval.synthesizers.llasa.format import MARKS, speech_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

UNKNOWN, PADDING = "<unk>", "<pad>"


def phoneme_tokenizer(codes: int) -> PreTrainedTokenizerFast:
    """Unknown, padding, every phoneme, stress mark and punctuation mark; then Llasa's marks and speech tokens."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate([UNKNOWN, PADDING, *SYMBOLS])}
    base = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    base.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    make: Any = PreTrainedTokenizerFast  # untyped
    tokenizer: PreTrainedTokenizerFast = make(tokenizer_object=base, unk_token=UNKNOWN, pad_token=PADDING)
    tokenizer.add_tokens([*MARKS, *map(speech_token, range(codes))])
    return tokenizer
