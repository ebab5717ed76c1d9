"""A run directory as reports read it: part by part, in columns, and only what they need.

A run of 100,000 candidates has hundreds of megabytes of rows, most of them texts that few ever look at:
transcripts, alignments, tokens, the tree of a search. So the parts are read one after another and kept as
columns: a candidate's row without its tokens, a score's numbers. Texts stay in the files; whoever wants one
asks for it by its row, and the part it lies in is read again.

Rows are found by their keys, as everywhere; of two with one key the later wins.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tts_eval.errors import StoreError
from tts_eval.records import row_failure
from tts_eval.store import Row, RunFolder, Table, read_part
from tts_eval.types import Failure, Score

if TYPE_CHECKING:
    import pyarrow

CANDIDATE_COLUMNS = (
    "index", "seed", "finish", "failure", "failure_message", "audio", "audio_sha256", "clip_seconds", "tokens_sampled",
    "audio_seconds", "generator_seconds", "flops", "search_verifier_seconds", "search_judgements",
    "search_spared_calls", "search_spared_seconds", "retries",
)  # fmt: skip
"""What is kept of a candidate's row."""
SCORE_COLUMNS = ("verifier", "judge", "value", "values", "failure", "failure_message", "verifier_seconds")
MOST_BYTES = 16 * 2**20
"""Of texts that are remembered: parts of requests that are looked at together are often the same."""


class RunColumns(RunFolder):
    """The candidates and scores of one run directory."""

    def __init__(self, folder: Path) -> None:
        """Read them.

        Raises:
            StoreError: there is no run in `folder`.
        """
        super().__init__(RunFolder.existing(folder).folder)
        self.candidates = CandidateColumns(Table(folder / "candidates"))
        self.scores = ScoreColumns(Table(folder / "scores"))

    @property
    def damaged(self) -> tuple[str, ...]:
        """Parts that could not be read, relative to the folder."""
        paths = (*self.candidates.damaged, *self.scores.damaged)
        return tuple(path.relative_to(self.folder).as_posix() for path in paths)


class Keys:
    """Which row a key is of, in 16 bytes a row: by its 64-bit hash, which two of a million share once in 10^7 runs."""

    def __init__(self, hashes: array[int]) -> None:
        """Of rows in order, by `hash` of their keys."""
        known = np.frombuffer(hashes, dtype=np.int64)
        self._order = np.argsort(known, kind="stable")
        self._sorted = known[self._order]

    def find(self, keys: Sequence[str]) -> np.ndarray:
        """The row of each key, the last of several, -1 where there is none: int64 [keys]."""
        if not len(self._sorted) or not keys:
            return np.full(len(keys), -1)
        wanted = np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
        places = np.searchsorted(self._sorted, wanted, side="right") - 1
        return np.where(self._sorted[places] == wanted, self._order[places], -1)


class Texts:
    """A column of texts that stays in the part files; the parts that were asked for last are remembered."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._parts: list[Path] = []
        self._first_rows = array("q")
        self._remembered: OrderedDict[int, tuple[list[str | None], int]] = OrderedDict()
        """Texts and their bytes by part."""
        self._bytes = 0

    def add(self, part: Path, first_row: int) -> None:
        """Know a part, and which row of the table its first is."""
        self._parts.append(part)
        self._first_rows.append(first_row)

    def at(self, row: int) -> str:
        """The text of a row of the table; "" where the part has no such column.

        Raises:
            StoreError: the part is gone.
        """
        number = bisect_right(self._first_rows, row) - 1
        texts = self._part(number)
        return texts[row - self._first_rows[number]] or "" if texts else ""

    def _part(self, number: int) -> list[str | None]:
        import pyarrow

        if number in self._remembered:
            self._remembered.move_to_end(number)
            return self._remembered[number][0]
        path = self._parts[number]
        try:
            rows = read_part(path, [self._column])
        except (pyarrow.ArrowException, OSError) as error:
            raise StoreError(f"{path} was there, and cannot be read any more ({error}). Ask again.") from error
        texts = rows.column(self._column).to_pylist() if rows.num_columns else []
        self._remembered[number] = texts, rows.nbytes
        self._bytes += rows.nbytes
        while self._bytes > MOST_BYTES and len(self._remembered) > 1:
            _, (_, size) = self._remembered.popitem(last=False)
            self._bytes -= size
        return texts


class Found(NamedTuple):
    """One candidate."""

    row: Row
    """`CANDIDATE_COLUMNS`, as far as the version that wrote it had them."""
    place: int
    """Which row of the table it is, for `CandidateColumns.trace`."""


class CandidateColumns:
    """What the reports need of every candidate."""

    def __init__(self, table: Table) -> None:
        """Read all parts."""
        import pyarrow

        traces, hashes, kept = Texts("trace"), array("q"), []
        self.damaged: list[Path] = []
        for path, rows in _whole_parts(table, ("key", *CANDIDATE_COLUMNS), self.damaged):
            traces.add(path, len(hashes))
            hashes.extend(map(hash, rows.column("key").to_pylist()))
            kept.append(rows.drop_columns("key"))
        self.trace: Callable[[int], str] = traces.at
        """The way of the search that led to the candidate in a row."""
        self._keys = Keys(hashes)
        self._rows = pyarrow.concat_tables(kept, promote_options="permissive").combine_chunks() if kept else None

    def find(self, keys: Sequence[str]) -> list[Found | None]:
        """The candidate of each key; None where there is none."""
        places = self._keys.find(keys)
        there = places[places >= 0]
        if self._rows is None or not len(there):
            return [None] * len(keys)
        # Rows of one request mostly stand together, and slices cost far less than picking rows.
        runs = np.split(there, np.flatnonzero(np.diff(there) != 1) + 1)
        rows = (row for run in runs for row in self._rows.slice(run[0], len(run)).to_pylist())
        return [Found(_without_nulls(next(rows)), int(place)) if place >= 0 else None for place in places]


class _Kind(NamedTuple):
    """What a score's numbers are."""

    verifier: str
    judge: str
    is_failed: bool
    """Whether it has no value of its own."""
    names: tuple[str, ...]


class ScoreColumns:
    """The numbers of every score, and where its texts are."""

    def __init__(self, table: Table) -> None:
        """Read all parts."""
        self.damaged: list[Path] = []
        self._details = Texts("details")
        self._kinds: dict[_Kind, int] = {}
        self._kind, self._begin, self._numbers = array("H"), array("q"), array("d")
        self._failures: dict[int, Failure | None] = {}
        hashes = array("q")
        for path, rows in _whole_parts(table, ("key", *SCORE_COLUMNS), self.damaged):
            self._details.add(path, len(hashes))
            hashes.extend(map(hash, rows.column("key").to_pylist()))
            for row in rows.to_pylist():
                self._add(row)
        self._keys = Keys(hashes)
        self._by_number = tuple(self._kinds)

    def find(self, keys: Sequence[Mapping[str, str]]) -> list[Mapping[str, Score]]:
        """What there is of the scores of some clips, by verifier.

        Args:
            keys: of each clip the keys of its scores by verifier; the verifiers are the same, or there are none.
        """
        specs = {spec: number for number, spec in enumerate(next(filter(None, keys), {}))}
        flat = self._keys.find([key for clip in keys for key in clip.values()])
        rows = np.full((len(keys), len(specs)), -1, dtype=np.int32)
        if specs:
            rows[[bool(clip) for clip in keys]] = flat.reshape(-1, len(specs))
        return [_ScoresOfClip(self, specs, rows, number) for number in range(len(keys))]

    def score(self, row: int) -> Score:
        """The score in a row; its details are read when somebody looks at them."""
        kind, begin = self._by_number[self._kind[row]], self._begin[row]
        value, seconds, *values = self._numbers[begin : begin + 2 + len(kind.names)]
        return Score(
            verifier=kind.verifier,
            judge=kind.judge,
            value=None if kind.is_failed else value,
            values=dict(zip(kind.names, values, strict=True)),
            details=_Details(self._details, row),
            failure=self._failures.get(row),
            seconds=seconds,
        )

    def _add(self, row: Row) -> None:
        values = json.loads(row["values"])
        kind = _Kind(row["verifier"].partition("@")[0], row["judge"], row["value"] is None, tuple(values))
        if row["failure"]:
            self._failures[len(self._kind)] = _shared(row_failure(row))
        self._kind.append(self._kinds.setdefault(kind, len(self._kinds)))
        self._begin.append(len(self._numbers))
        self._numbers.extend((row["value"] or 0.0, row["verifier_seconds"], *values.values()))


class _ScoresOfClip(Mapping[str, Score]):
    """Scores by verifier, each made when it is asked for: as columns they take a tenth of the memory.

    Who looks at them again and again makes a `dict` of `items()`, which come all at once.
    """

    __slots__ = ("_clip", "_columns", "_rows", "_specs")

    def __init__(self, columns: ScoreColumns, specs: Mapping[str, int], rows: np.ndarray, clip: int) -> None:
        self._columns, self._specs, self._rows, self._clip = columns, specs, rows, clip

    def __getitem__(self, spec: str) -> Score:
        row = int(self._rows[self._clip, self._specs[spec]])
        if row < 0:
            raise KeyError(spec)
        return self._columns.score(row)

    def __contains__(self, spec: object) -> bool:
        return spec in self._specs and bool(self._rows[self._clip, self._specs[str(spec)]] >= 0)

    def __iter__(self) -> Iterator[str]:
        rows = self._rows[self._clip].tolist()
        return iter([spec for spec, row in zip(self._specs, rows, strict=True) if row >= 0])

    def __len__(self) -> int:
        return int((self._rows[self._clip] >= 0).sum())

    def items(self) -> ItemsView[str, Score]:
        return self._all().items()

    def values(self) -> ValuesView[Score]:
        return self._all().values()

    def _all(self) -> dict[str, Score]:
        score, rows = self._columns.score, self._rows[self._clip].tolist()
        return {spec: score(row) for spec, row in zip(self._specs, rows, strict=True) if row >= 0}


class _Details(Mapping[str, str]):
    """`Score.details`, read at the first look."""

    __slots__ = ("_known", "_row", "_texts")

    def __init__(self, texts: Texts, row: int) -> None:
        self._texts, self._row = texts, row
        self._known: dict[str, str] | None = None

    def _all(self) -> dict[str, str]:
        if self._known is None:
            self._known = json.loads(self._texts.at(self._row))
        return self._known

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _without_nulls(row: Row) -> Row:
    """The row without what it does not have: parts of several versions stand in one table."""
    return {name: value for name, value in row.items() if value is not None}


def _whole_parts(table: Table, columns: Sequence[str], damaged: list[Path]) -> Iterator[tuple[Path, pyarrow.Table]]:
    for part in table.scan(columns):
        if part.rows is None:
            damaged.append(part.path)
        else:
            yield part.path, part.rows


@lru_cache(maxsize=1024)
def _shared(failure: Failure | None) -> Failure | None:
    """The failure itself, the same object for all that are equal."""
    return failure
