"""Where the numbers of a run come from, as tables: settings, judges, weights with licences and checksums, versions.

Reads run.json as it is, so that a run of an older version shows what it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.tables import Cell, Column, Table

DIGITS = 16
"""Of a SHA-256; run.json has all 64."""


def provenance_tables(run: Mapping[str, Any]) -> list[Table]:
    """The tables that there is something to fill with."""
    provenance = _mapping(run.get("provenance"))
    made = [
        _settings(run),
        _verifiers(_mapping(run.get("verifiers")), run),
        _weights(_mapping(provenance.get("weights"))),
        _versions(provenance),
    ]
    return [table for table in made if table.rows]


def _settings(run: Mapping[str, Any]) -> Table:
    lead = {name: run.get(name) for name in ("suite", "subset", "synthesizer") if run.get(name)}
    config = {
        f"config: {name}": value for name, value in _mapping(run.get("config")).items() if value not in (None, "")
    }
    return _pairs("Settings", {**lead, **config})


def _verifiers(verifiers: Mapping[str, Any], run: Mapping[str, Any]) -> Table:
    searching = run.get("searching") or []
    rows = tuple(
        (Cell(spec), Cell(str(record.get("identity", ""))), Cell("chose" if spec in searching else "reports"),
         Cell(str(record.get("judge", ""))))
        for spec, record in ((spec, _mapping(record)) for spec, record in verifiers.items())
    )  # fmt: skip
    columns = (Column("Verifier"), Column("Version"), Column("Role"), Column("Checkpoint"))
    return Table("Judges", columns, rows)


def _weights(weights: Mapping[str, Any]) -> Table:
    rows = tuple(
        (Cell(name), Cell(str(record.get("licence", ""))), Cell(str(record.get("source", ""))),
         Cell("", "\n".join(f"{digest[:DIGITS]} {file}" for file, digest in _mapping(record.get("sha256")).items())))
        for name, record in ((name, _mapping(record)) for name, record in weights.items())
    )  # fmt: skip
    columns = (Column("Weights"), Column("Licence"), Column("From"), Column("SHA-256, files"))
    return Table("Weights on the machine", columns, rows, (f"Checksums are cut to {DIGITS} digits; run.json has all.",))


def _versions(provenance: Mapping[str, Any]) -> Table:
    host = _mapping(provenance.get("host"))
    packages = {name: version for name, version in _mapping(provenance.get("packages")).items() if version}
    own = {"tts-eval": provenance.get("tts_eval"), "git revision": provenance.get("git")}
    return _pairs("Versions and machine", {**own, **host, **packages})


def _pairs(caption: str, values: Mapping[str, Any]) -> Table:
    rows = tuple((Cell(name), Cell(_text(value))) for name, value in values.items() if value not in (None, [], ()))
    return Table(caption, (Column("What"), Column("Value")), rows)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
