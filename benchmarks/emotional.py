"""What ESD and RAVDESS share: acted speech, cloned with its emotion from another sentence of the same actor.

The prompt is a clip of the same speaker with the same emotion, which is also the prompt's style and
the request's `emotion` (metadata), where the `emotion` verifier finds it. Groups are emotions. Reported: content,
voice, whether it sounds as the label says (`emotion`), and like the prompt (`emotion:,target=prompt`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tts_eval.emotions import emotion_name
from tts_eval.types import Prompt, Request

EMOTION_JUDGES = ("emotion", "emotion:,target=prompt", "speaker:campplus", "quality")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActedClip:
    """One recording of a corpus of acted speech."""

    id: str
    audio: Path
    text: str
    speaker: str
    emotion: str
    """As the corpus calls it."""


def acted_request(clip: ActedClip, prompt: ActedClip, language: str) -> Request:
    """Say `clip`'s text as `prompt` sounds."""
    emotion = emotion_name(clip.emotion)
    return Request(
        id=clip.id,
        text=clip.text,
        language=language,
        prompt=Prompt(audio=prompt.audio, transcript=prompt.text, style=emotion),
        ground_truth=clip.audio,
        group=emotion,
        speaker=clip.speaker,
        metadata={"emotion": emotion},
    )
