"""Scripts tell languages apart."""

from __future__ import annotations

import pytest

from tts_eval.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("See you on Monday.", "en"), ("Grüße, 12!", "en"), ("今天天气不错。", "zh"), ("打开 WiFi", "zh"),
        ("東京へ行く", "ja"), ("안녕하세요", "ko"),
    ],
)  # fmt: skip
def test_a_script_tells_the_language(text, language):
    assert language_of(text) == language
