"""The sound of a page: which clips lie inside it, which beside it, and which it can only name.

A page is asked for its clips in the order of their importance. By default the first hour of audio is
carried inside; what comes after that is played from the run's own files, as long as the page lies in
the run's folder. `beside` puts every clip into a folder next to the page instead. Prompts and
recordings are files of the suite, outside the run: a page carries them or goes without.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from reports.players import Encoded, encode, link, spectrogram, waveform
from tts_eval.audio import Clip, Excerpt, load_clip
from tts_eval.errors import AudioError
from tts_eval.execution import available_cores, batched
from tts_eval.files import write_atomically

logger = logging.getLogger(__name__)

AudioMode: TypeAlias = Literal["embed", "link", "none"]
"""Audio inside the page, as links to the run's files, or left out."""
Source: TypeAlias = str | Path | Excerpt
"""A file of the run, by its path inside the run's folder, or one that lies anywhere."""
MOST_SECONDS = 3600.0
"""Of audio inside a page: some 19 MB, and 12 seconds of one core."""
AT_ONCE = 64
"""Clips that are encoded together; bounds what is decoded at a time."""
NO_AUDIO = "There is no audio of this candidate."
LEFT_OUT = "Audio was left out of this page."


@dataclass(frozen=True, slots=True)
class Sound:
    """One clip as the page has it: `block` or `url` to play, else the `problem`."""

    block: str = ""
    """Id of the element with the base64 of the Ogg file."""
    url: str = ""
    """Relative to the page."""
    problem: str = ""
    wave: str = ""
    spectrum: str = ""


class Shelf:
    """The clips of one page."""

    def __init__(
        self, root: Path, mode: AudioMode, page_folder: Path, *, beside: Path | None = None,
        most_seconds: float = MOST_SECONDS,
    ) -> None:  # fmt: skip
        """Nothing is on the shelf yet.

        Args:
            root: the run's folder.
            mode: where the sound comes from.
            page_folder: where the page will lie; links to the run's files are made if that is directly in `root`.
            beside: folder inside `page_folder` for all clips, as files.
            most_seconds: of audio inside the page.
        """
        self.blocks: dict[str, Encoded] = {}
        """By id: what the page carries."""
        self.seconds = 0.0
        """Of audio that was stocked."""
        self._root = root
        self._mode = mode
        self._page_folder = page_folder
        self._beside = beside
        self._most_seconds = most_seconds
        self._sounds: dict[Source, Sound] = {}
        self._outside: set[Source] = set()
        self._bare: set[Source] = set()
        self._missing: dict[Source, str] = {}

    def stock(self, sources: Iterable[Source]) -> None:
        """Take the clips in, most important first, as far as there is room."""
        wanted = [source for source in dict.fromkeys(sources) if source not in self._sounds]
        if self._mode == "none":
            return
        with ThreadPoolExecutor(max_workers=available_cores()) as threads:  # the encoder lets other threads run
            for some in batched(wanted, AT_ONCE):
                if self.seconds >= self._most_seconds and not self._beside:
                    return
                self._keep(some, list(threads.map(self._made, some)))

    def sound(self, source: Source | None) -> Sound:
        """How the clip is played."""
        if source is None:
            return Sound(problem=NO_AUDIO)
        if self._mode == "none":
            return Sound(problem=LEFT_OUT)
        sound = self._sounds.get(source) or self._linked(source)
        if sound.problem:
            self._missing[source] = sound.problem
            return sound
        if not sound.block:
            self._outside.add(source)
        if not sound.wave:
            self._bare.add(source)
        return sound

    @property
    def remarks(self) -> list[str]:
        """What listeners must know, in sentences; nothing where the page has every clip that was asked for."""
        if self._mode == "none":
            return ["Audio was left out of this page; 'tts-eval report RUN' puts it in."]
        said = []
        if self._missing:
            said.append(f"{len(self._missing)} clips cannot be played; the first: {next(iter(self._missing.values()))}")
        if self._outside and self._mode == "embed":
            said.append(
                f"The first {self.seconds / 60:.0f} minutes of audio are inside this page; "
                f"{len(self._outside)} other clips are played from the run's folder, as long as the page lies in it. "
                "--audio-dir takes all of them along. Pictures of the sound are drawn of what is inside."
            )
        elif self._bare and self._most_seconds:
            said.append(
                f"{len(self._bare)} clips play, but have no picture of their sound: that is drawn of the first "
                f"{self._most_seconds / 60:.0f} minutes of audio, what is listened to most."
            )
        return said

    def carried(self, source: Source | None) -> Encoded | str:
        """The clip itself, whatever the shelf has in store, or why it cannot be played."""
        if source is None:
            return NO_AUDIO
        try:
            return encode(self._clip(source))
        except AudioError as error:
            return str(error)

    def _made(self, source: Source) -> tuple[float, Encoded | None, Sound]:
        """Seconds of the clip, the clip for the page where it is to carry that, and its thumbnails or problem."""
        try:
            clip = self._clip(source)
        except AudioError as error:
            return 0.0, None, Sound(problem=str(error))
        encoded = encode(clip) if self._mode == "embed" or self._beside else None
        if self.seconds >= self._most_seconds:  # beside the page, where there is room for all, but not for pictures
            return clip.seconds, encoded, Sound()
        return clip.seconds, encoded, Sound(wave=waveform(clip), spectrum=spectrogram(clip))

    def _keep(self, sources: Sequence[Source], made: Sequence[tuple[float, Encoded | None, Sound]]) -> None:
        for source, (seconds, encoded, sound) in zip(sources, made, strict=True):
            self.seconds += seconds
            block, url, problem = "", "", sound.problem
            if problem:
                logger.warning("no player for %s: %s", source, problem)
            elif encoded is None:
                linked = self._linked(source)
                url, problem = linked.url, linked.problem
            elif self._beside:
                url = self._written(source, encoded, self._beside)
            else:
                block = f"audio-{len(self.blocks)}"
                self.blocks[block] = encoded
            self._sounds[source] = Sound(block, url, problem, sound.wave, sound.spectrum)

    def _written(self, source: Source, encoded: Encoded, folder: Path) -> str:
        name = Path(source).stem if isinstance(source, str) else hashlib.sha256(repr(source).encode()).hexdigest()[:16]
        write_atomically(folder / f"{name}.ogg", encoded.write)
        return link((folder / f"{name}.ogg").relative_to(self._page_folder).as_posix(), up=0)

    def _linked(self, source: Source) -> Sound:
        if not isinstance(source, str):
            return Sound(problem="This recording is no file of the run; a page with embedded audio has it.")
        if self._page_folder.parent != self._root:
            return Sound(problem=f"{source} lies outside the folder of this page.")
        try:
            self._file(source)
        except AudioError as error:
            return Sound(problem=str(error))
        return Sound(url=link(source, up=1))

    def _clip(self, source: Source) -> Clip:
        return load_clip(self._file(source) if isinstance(source, str) else source)

    def _file(self, source: str) -> Path:
        """The file of the run.

        Raises:
            AudioError: it lies outside the run's folder.
        """
        path = (self._root / source).resolve()
        if not path.is_relative_to(self._root.resolve()):
            raise AudioError(f"{source} lies outside the run's folder.")
        return path
