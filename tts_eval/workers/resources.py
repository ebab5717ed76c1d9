"""How many workers there are of each group, and what each of them takes.

    synth:   {actors: 4, gpus: 1}
    asr:     {actors: 4, gpus: 0.25, timeout: 300}
    speaker: {actors: 2, threads: 2}
    rest:    {actors: 1, memory: 4}

What has an entry of its own has workers of its own. Everything else shares the workers of `rest`, each of which
can do all of it; without a file that is all there is, one worker a GPU or else one a core. A worker that does
whatever is due keeps its core busy without any tuning, where two on a core would wait for each other.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tts_eval.errors import ConfigError

REST = "rest"
AMOUNTS = ("cpus", "gpus", "memory")
WORKER_GIGABYTES = 1.5
"""What a worker is reckoned to need where nobody says, so that many cores do not fill a small memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The workers of one group."""

    actors: int
    cpus: float
    """Of each worker, as Ray counts them: what may be placed on a node together."""
    gpus: float = 0.0
    memory: float = 0.0
    """Gigabytes that Ray sets aside for each; 0 for nothing in particular."""
    threads: int = 1
    """That each worker's models use."""
    timeout: float = 900.0
    """Seconds that one batch may take before its worker counts as hanging."""
    together: bool = False
    """Whether each worker shares a node with one of every other such group, which hears what it makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What one machine offers."""

    name: str
    cpus: float
    gpus: float = 0.0
    memory: float = 0.0
    """Gigabytes."""


def parse_resources(values: Mapping[str, Any]) -> dict[str, Share]:
    """The entries of a resources file.

    Raises:
        ConfigError: unknown settings (with the close matches) and wrong values, all of them.
    """
    problems: list[str] = []
    shares = {}
    for name, entry in values.items():
        if not isinstance(entry, Mapping) or not entry:
            problems.append(f"{name} is {entry!r}; expected settings, e.g. {{actors: 2, threads: 1}}.")
            continue
        found = _problems(str(name), entry)
        problems += found
        if not found:
            shares[str(name)] = _share(entry)
    if problems := problems or _team_problems(shares):
        raise ConfigError(problems)
    return shares


def _problems(name: str, entry: Mapping[str, Any]) -> list[str]:
    known = [field.name for field in dataclasses.fields(Share)]
    problems = []
    for key, value in entry.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Expected some of: {', '.join(known)}."
            problems.append(f"{name}: Unknown setting '{key}'. {hint}")
        elif key in ("actors", "threads"):
            if type(value) is not int or value < 1:
                problems.append(f"{name}: {key} is {value!r}; expected a whole number, 1 or more.")
        elif key == "together":
            if type(value) is not bool:
                problems.append(f"{name}: together is {value!r}; expected true or false.")
        elif type(value) not in (int, float) or not 0 <= value < math.inf or (key == "timeout" and value == 0):
            least = "above 0" if key == "timeout" else "that is 0 or more"
            problems.append(f"{name}: {key} is {value!r}; expected a number {least}.")
        elif key == "gpus" and value > 1 and value != int(value):
            problems.append(f"{name}: gpus is {value}; expected a part of one GPU or a whole number of them.")
    if "actors" not in entry:
        problems.append(f"{name}: actors is missing; expected how many workers there are, e.g. actors: 2.")
    return problems


def _team_problems(shares: Mapping[str, Share]) -> list[str]:
    """What keeps the groups that are to be together from being so."""
    team = {name: share for name, share in shares.items() if share.together}
    problems = []
    if len({share.actors for share in team.values()}) > 1:
        counts = ", ".join(f"{name} {share.actors}" for name, share in team.items())
        problems.append(f"together: one worker of each on a node needs as many actors of each, got {counts}.")
    speaking = group_of("synth", shares)
    if team and (speaking not in team or len(team) == 1):
        problems.append(
            f"together: only {', '.join(team)}, and it is for those who speak and those who listen. "
            f"Say it of '{speaking}', whose workers speak, and of another entry."
        )
    problems += [
        f"{name}: together is true, and it takes no cpus and no gpus; expected some, as a place is kept for them."
        for name, share in team.items()
        if not (share.cpus or share.gpus)
    ]
    return problems


def _share(entry: Mapping[str, Any]) -> Share:
    threads = entry.get("threads", max(int(entry.get("cpus", 1)), 1))
    settings = {**entry, "threads": threads, "cpus": float(entry.get("cpus", threads))}
    return Share(**settings)


def group_of(stage: str, shares: Collection[str]) -> str:
    """Which entry a stage belongs to: one of its own (`asr:base`), one of its kind (`asr`), or the rest."""
    kind = stage.partition(":")[0]
    return stage if stage in shares else kind if kind in shares else REST


def require_stages(shares: Collection[str], stages: Sequence[str]) -> None:
    """Refuse workers for nothing, which are mistyped stages as a rule.

    Raises:
        ConfigError: some entries are for no stage of the run, all of them.
    """
    used = {group_of(stage, shares) for stage in stages}
    known = [*dict.fromkeys([*stages, *(stage.partition(":")[0] for stage in stages)]), REST]
    problems = []
    for name in shares:
        if name not in used and name != REST:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean '{close[0]}'? It has" if close else "It has"
            problems.append(f"'{name}' has workers, but the run has no such stage. {hint}: {', '.join(known)}.")
    if problems:
        raise ConfigError(problems)


def plan(shares: Mapping[str, Share], stages: Iterable[str], nodes: Iterable[Node]) -> dict[str, Share]:
    """The workers of each group that these stages need, with those of the rest worked out.

    Raises:
        ConfigError: the nodes do not offer what all of them take.
    """
    nodes = list(nodes)
    used = {group_of(stage, shares) for stage in stages}
    planned = {name: share for name, share in shares.items() if name in used}
    if REST in used and REST not in planned:
        planned[REST] = _rest(planned.values(), nodes)
    if problems := _misfits(planned, nodes):
        raise ConfigError(problems)
    return planned


def _rest(others: Iterable[Share], nodes: Iterable[Node]) -> Share:
    others, nodes = list(others), list(nodes)
    cpus = sum(node.cpus for node in nodes) - sum(share.actors * share.cpus for share in others)
    gpus = int(sum(node.gpus for node in nodes) - sum(share.actors * share.gpus for share in others))
    memory = sum(node.memory for node in nodes) - sum(share.actors * share.memory for share in others)
    actors = gpus if gpus >= 1 else min(int(cpus), int(memory / WORKER_GIGABYTES)) if memory else int(cpus)
    actors = max(actors, 1)
    # On every node alike, and whole: a worker that needs more cores than a node has left is never placed.
    threads = max(int(min(cpus / actors, max((node.cpus for node in nodes), default=1.0))), 1)
    return Share(actors=actors, cpus=float(threads), gpus=float(min(gpus, 1)), threads=threads)


def _misfits(planned: Mapping[str, Share], nodes: Iterable[Node]) -> list[str]:
    """What the plan takes beyond what there is, all together and worker by worker."""
    nodes = list(nodes)
    problems = []
    for kind, unit in (("cpus", "CPUs"), ("gpus", "GPUs"), ("memory", "GB of memory")):
        offered = sum(getattr(node, kind) for node in nodes)
        wanted = sum(share.actors * getattr(share, kind) for share in planned.values())
        if wanted > offered + 1e-9:
            parts = ", ".join(
                f"{name} {share.actors} x {getattr(share, kind):g}"
                for name, share in planned.items()
                if getattr(share, kind)
            )
            problems.append(f"The plan takes {wanted:g} {unit} ({parts}), and Ray offers {offered:g}.")
    if problems:
        problems[-1] += " Give fewer actors or smaller parts with --resources (of a CPU too: 'cpus: 0.5')."
        return problems
    left = list(nodes)
    for name, share in sorted(_units(planned), key=lambda entry: (-entry[1].gpus, -entry[1].cpus, -entry[1].memory)):
        for number in range(share.actors):
            rooms = [place for place, node in enumerate(left) if _has_room(node, share)]
            # What has least to spare is filled first; GPUs are spared for those that need them, as Ray does.
            place = min(rooms, key=lambda place: (left[place].gpus, left[place].cpus), default=None)
            if place is None:
                problems.append(
                    f"{'Team' if share.together else 'Worker'} {number + 1} of {share.actors} of '{name}' "
                    f"({share.cpus:g} CPUs, {share.gpus:g} GPUs, {share.memory:g} GB) fits on no node. Make it "
                    f"smaller, or ask for fewer{', or do not ask for them together' if share.together else ''}."
                )
                break
            node = left[place]
            left[place] = replace(
                node, cpus=node.cpus - share.cpus, gpus=node.gpus - share.gpus, memory=node.memory - share.memory
            )
    return problems


def _units(planned: Mapping[str, Share]) -> list[tuple[str, Share]]:
    """What has to be on one node as a whole: workers, and teams of them."""
    team = {name: share for name, share in planned.items() if share.together}
    units = [(name, share) for name, share in planned.items() if not share.together]
    if team:
        cpus, gpus, memory = (sum(getattr(share, kind) for share in team.values()) for kind in AMOUNTS)
        one = next(iter(team.values()))
        units.append((" + ".join(team), replace(one, cpus=cpus, gpus=gpus, memory=memory)))
    return units


def _has_room(node: Node, share: Share) -> bool:
    return all(getattr(node, kind) + 1e-9 >= getattr(share, kind) for kind in AMOUNTS)
