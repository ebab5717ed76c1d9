"""What of a run is still missing, told from its rows alone: no audio is read and no model is asked.

    request -> candidates that nobody has made -> verifiers that have not heard those that are there

Of a cascade, later stages hear a pool when the earlier ones have heard all of it, as in
`search.outcome.OutcomeVerifier`. What failed while it was being made or judged is missing, as a new run tries it
again, until this run has done so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.selection import Rule
from tts_eval.config import is_whole_pool, sampling_of
from tts_eval.manifest import Manifest, RequestRecord
from tts_eval.records import candidate_key, ground_truth_digest, is_transient, row_failure, score_from_row, score_key
from tts_eval.seeds import candidate_seed
from tts_eval.store import Memory, Row
from tts_eval.types import Job, Score


@dataclass(frozen=True, slots=True)
class Place:
    """Where the row of one candidate belongs, and what makes it."""

    key: str
    job: Job


class Pending:
    """What is missing of the run that `manifest` describes, in `store`."""

    def __init__(self, store: Memory, manifest: Manifest, rule: Rule) -> None:
        self._store = store
        self._manifest = manifest
        self._rule = rule
        self._sampling = sampling_of(manifest.config)
        self.is_whole = is_whole_pool(manifest.config)
        self.pool = manifest.config.n if self.is_whole else 1
        judges = (*manifest.judges, *manifest.added_judges)
        asked = {spec: rule.asked(spec, self.pool) if self.is_whole else 1 for spec in manifest.searching}
        self.judging = tuple(spec for spec in dict.fromkeys(judges) if asked.get(spec, 0) < self.pool)
        """Judges that hear every candidate because the search does not show it to them; of a cascade, once more."""
        self.selecting = asked
        """How many candidates of a request each verifier of the search hears."""
        self.hear_truths = tuple(dict.fromkeys([*asked, *self.judging]))

    def places(self, record: RequestRecord) -> list[Place]:
        """Where the candidates of a request belong: N of them, or the one that is chosen."""
        manifest, request = self._manifest, record.request
        seed = manifest.config.seed
        places = []
        for index in range(self.pool):
            job = Job(
                request=request, index=index, seed=candidate_seed(seed, request.id, index), sampling=self._sampling
            )
            key = (
                candidate_key(manifest.synthesizer, request.id, record.digest, job.sampling, job.seed, index)
                if self.is_whole
                else manifest.search_key(record)
            )
            places.append(Place(key, job))
        return places

    def row(self, key: str) -> Row | None:
        """The candidate's row, if it is there, need not be tried again and has its audio."""
        row = self._store.candidates.get(key)
        if row is None or key in self._store.fresh:
            return row
        if self._manifest.synthesizer.endswith(":") or is_transient(row_failure(row)):  # no revision: never the same
            return None
        if row["audio"] and not _is_there(self._store, row):
            return None
        return row

    def unheard_at_first(self, record: RequestRecord, row: Row) -> tuple[str, ...]:
        """The verifiers that hear every candidate, whatever its siblings are like, and have not heard this one."""
        asked: dict[str, str] = {}
        first = self._rule.stages[0].verifiers if self.is_whole else self.hear_truths
        self._ask(record, row, (*first, *self.judging), asked)
        return tuple(asked.values())

    def unheard(self, record: RequestRecord, rows: Sequence[Row | None]) -> list[tuple[Row, tuple[str, ...]]]:
        """The rows of a request that somebody has yet to hear, each with the verifiers' specs."""
        asked: dict[int, dict[str, str]] = {}
        waiting = list(range(len(rows)))
        for stage in self._rule.stages if self.is_whole else ():
            for position in waiting:
                self._ask(record, rows[position], stage.verifiers, asked.setdefault(position, {}))
            # Who goes on is known when everybody of the stage has been heard.
            if len(self._rule.stages) == 1 or any(asked.values()) or any(row is None for row in rows):
                break
            parts = [self._parts(record, rows[position], stage.verifiers) for position in waiting]
            metrics = {spec: self._manifest.verifiers[spec].metrics for spec in self._rule.verifiers}
            waiting = [waiting[place] for place in stage.survivors(parts, metrics)]
        others = self.judging if self.is_whole else self.hear_truths
        for position, row in enumerate(rows):
            self._ask(record, row, others, asked.setdefault(position, {}))
        return [(row, tuple(keys.values())) for position, keys in asked.items() if keys and (row := rows[position])]

    def unheard_truth(self, record: RequestRecord) -> tuple[str, ...]:
        """Verifiers that have not heard the recording that the request brings along."""
        if not record.ground_truth_sha256:
            return ()
        digest = ground_truth_digest(record.reference_digest)
        return tuple(spec for spec in self.hear_truths if self._lacks(spec, digest, record.ground_truth_sha256))

    def key(self, spec: str, reference_digest: str, audio_sha256: str) -> str:
        """Under which the word of a verifier on some audio is stored."""
        verifier = self._manifest.verifiers[spec]
        return score_key(verifier.identity, verifier.judge, reference_digest, audio_sha256)

    def _lacks(self, spec: str, reference_digest: str, audio_sha256: str) -> bool:
        key = self.key(spec, reference_digest, audio_sha256)
        row = self._store.scores.get(key)
        return row is None or (key not in self._store.fresh and is_transient(row_failure(row)))

    def _ask(self, record: RequestRecord, row: Row | None, specs: Sequence[str], asked: dict[str, str]) -> None:
        """Add to `asked`, by key, the verifiers that have not heard the candidate."""
        if row is None or not row["audio_sha256"]:
            return
        for spec in specs:
            if self._lacks(spec, record.reference_digest, row["audio_sha256"]):
                asked.setdefault(self.key(spec, record.reference_digest, row["audio_sha256"]), spec)

    def _parts(self, record: RequestRecord, row: Row | None, specs: Sequence[str]) -> dict[str, Score]:
        """What the verifiers have said of a candidate; of one without audio, why they could not."""
        assert row is not None
        if row["audio_sha256"]:
            keys = {spec: self.key(spec, record.reference_digest, row["audio_sha256"]) for spec in specs}
            return {spec: score_from_row(self._store.scores[key]) for spec, key in keys.items()}
        silent = [(spec, self._manifest.verifiers[spec]) for spec in specs]
        return {
            spec: Score(
                verifier=verifier.identity.partition("@")[0], judge=verifier.judge, value=None, failure=row_failure(row)
            )
            for spec, verifier in silent
        }


def _is_there(store: Memory, row: Row) -> bool:
    try:
        size: int = (store.folder / row["audio"]).stat().st_size
    except OSError:
        return False
    return size > 0
