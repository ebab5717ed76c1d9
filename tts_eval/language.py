"""What the characters of a text tell about its language."""

from __future__ import annotations

import re

HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
"""A Chinese character."""
_SCRIPTS = (("ja", re.compile(r"[\u3040-\u30ff]")), ("zh", HAN), ("ko", re.compile(r"[\uac00-\ud7af]")))


def language_of(text: str) -> str:
    """`ja` (which writes Chinese characters too), `zh` or `ko` by their characters; else `en`."""
    return next((language for language, characters in _SCRIPTS if characters.search(text)), "en")
