"""RAVDESS: 24 actors say two sentences with eight emotions.

`ravdess` reads Actor_01/03-01-05-01-02-01-01.wav and so on (any audio ending will do) below --data-dir: modality,
channel, emotion, intensity, statement, repetition, actor (zenodo.org/records/1188976, speech, audio only). The prompt
is the other statement by the same actor, of the same emotion, intensity and repetition. It takes the
emotions that ESD has as well: neutral, happy, sad, angry, surprised; `ravdess:all` all eight.

The bundled judge of emotions, emotion-nano, has learned from RAVDESS: for absolute claims bring another one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from benchmarks.emotional import EMOTION_JUDGES, ActedClip, acted_request
from benchmarks.layout import data_root, raise_problems, require_data_dir, suite_name
from benchmarks.suite import Suite
from tts_eval.audio import AUDIO_SUFFIXES
from tts_eval.errors import ConfigError
from tts_eval.types import Request

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
COMMON = ("neutral", "happy", "sad", "angry", "surprised")
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
CLIPS_PER_ACTOR = 60
ACTORS = [f"Actor_{number:02d}" for number in range(1, 25)]
_NAME = re.compile(r"03-01-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)")


def load_ravdess(*, argument: str, data_dir: Path | None) -> Suite:
    """`ravdess@1` (864 requests) or `ravdess-all@1` (1,440); where actors are missing, a `-part-DIGEST`.

    Raises:
        ConfigError: another argument than "all", or no --data-dir.
        DataError: the folder is not in RAVDESS's layout; the first ten problems are named.
    """
    if argument not in ("", "all"):
        raise ConfigError([f"Suite 'ravdess' takes no argument or 'all'; drop ':{argument}'."])
    folder = require_data_dir("ravdess", data_dir, "RAVDESS's Actor_01 to Actor_24")
    root = data_root(folder, ACTORS, "RAVDESS's Actor_01 to Actor_24")
    problems: list[str] = []
    requests = [
        request
        for actor in ACTORS
        if (root / actor).is_dir()
        for request in _read_actor(root / actor, EMOTIONS if argument else COMMON, problems)
    ]
    raise_problems(f"{root} is not as RAVDESS has it", problems)
    official = len(ACTORS) * (CLIPS_PER_ACTOR if argument else 36)
    return Suite(
        name=suite_name("ravdess-all" if argument else "ravdess", requests, is_whole=len(requests) == official),
        requests=tuple(requests),
        judges=("asr:base", *EMOTION_JUDGES),
    )


def _read_actor(folder: Path, emotions: tuple[str, ...], problems: list[str]) -> list[Request]:
    clips: dict[tuple[str, ...], ActedClip] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES):
        found = _NAME.fullmatch(path.stem)
        if not found or found[5] != folder.name[-2:]:
            problems.append(f"{path}: expected names such as 03-01-05-01-02-01-{folder.name[-2:]}")
            continue
        emotion = EMOTIONS[int(found[1]) - 1]
        clip = ActedClip(id=path.stem, audio=path, text=STATEMENTS[found[3]], speaker=folder.name, emotion=emotion)
        if found.groups() in clips:
            problems.append(f"{path}: '{path.stem}' is there twice")
        clips[found.groups()] = clip
    if len(clips) != CLIPS_PER_ACTOR:
        problems.append(f"{folder} has {len(clips)} clips, expected {CLIPS_PER_ACTOR}; unpack the archive again")
    requests = []
    for (emotion, intensity, statement, repetition, actor), clip in clips.items():
        prompt = clips.get((emotion, intensity, "02" if statement == "01" else "01", repetition, actor))
        if clip.emotion in emotions and prompt is not None:
            request = acted_request(clip, prompt, "en")
            strength = "normal" if intensity == "01" else "strong"
            requests.append(replace(request, metadata={**request.metadata, "intensity": strength}))
    return requests
