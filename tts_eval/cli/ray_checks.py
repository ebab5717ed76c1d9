"""What `tts-eval doctor` says of Ray: what there is, and the workers that a run would have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tts_eval.cli.check import Check
from tts_eval.config import read_yaml
from tts_eval.errors import ConfigError
from tts_eval.workers.cluster import Cluster, this_machine
from tts_eval.workers.resources import REST, Node, Share, group_of, parse_resources, plan
from verifiers import verifiers

STAGES = ("synth",)
"""Of any run; which verifiers another one has is its own business."""


def ray_checks(address: str, resources: str) -> Iterator[Check]:
    """Ray, its nodes, and who would do what; Ray is started for a cluster's sake alone."""
    try:
        yield Check("ray", True, version("ray"))
    except PackageNotFoundError:
        yield Check("ray", not (address or resources), "not installed; for --executor ray: pip install 'ray>=2.40'")
        return
    try:
        nodes = _nodes(address)
        shares = parse_resources(read_yaml(Path(resources), example="synth: {actors: 2}")) if resources else {}
        _require_stages(shares)
        planned = plan(shares, dict.fromkeys([*STAGES, *shares]), nodes)
    except ConfigError as error:
        yield Check("ray workers", False, str(error))
        return
    for node in nodes:
        yield Check("ray node", True, f"{node.name}: {node.cpus:g} CPUs, {node.gpus:g} GPUs, {node.memory:.0f} GB")
    for name, share in planned.items():
        yield Check("ray workers", True, _described(name, share, group_of("synth", list(shares))))


def _require_stages(names: Iterable[str]) -> None:
    """Refuse entries that no run could have a stage for: mistyped, they would wait for the run to be found."""
    known = [*STAGES, REST, *(entry.name for entry in verifiers)]
    wrong = [name for name in names if name.partition(":")[0] not in known]
    if wrong:
        raise ConfigError([f"'{name}' is a stage of no run; expected some of: {', '.join(known)}." for name in wrong])


def _nodes(address: str) -> Sequence[Node]:
    if not address:
        return [this_machine()]
    with Cluster(address) as cluster:
        return cluster.nodes


def _described(name: str, share: Share, speaking: str) -> str:
    parts = [f"{share.cpus:g} CPUs", f"{share.threads} threads"]
    parts += [f"{share.gpus:g} GPUs"] if share.gpus else []
    parts += [f"{share.memory:g} GB"] if share.memory else []
    parts += ["together"] if share.together else []
    speaks = ", the synthesizer among them" if name == speaking else ""
    return f"{name}: {share.actors} x ({', '.join(parts)}){speaks}"
