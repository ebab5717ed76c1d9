"""Several nodes of Ray on this machine, which can be lost: a head without cores, and nodes of one core each."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

from tts_eval.workers.cluster import STORE_BYTES, keep_quiet

BUSY = "ray::Worker.call"
"""What the process of a worker that works is called."""


class SmallCluster:
    """So many nodes beside the head; a context manager that ends them all."""

    def __init__(self, nodes: int = 2) -> None:
        from ray.cluster_utils import Cluster

        keep_quiet()
        self._nodes = nodes
        made: Any = Cluster
        self._cluster = made()
        try:
            self._add(cores=0)
            self.restore()
        except BaseException:
            self._cluster.shutdown()
            raise

    def __enter__(self) -> SmallCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.shutdown()

    @property
    def address(self) -> str:
        """HOST:PORT of its head."""
        return str(self._cluster.address)

    def restore(self) -> None:
        """Have as many nodes again as at first."""
        while len(self._cluster.worker_nodes) < self._nodes:
            self._add(cores=1)

    def _add(self, cores: int) -> None:
        self._cluster.add_node(num_cpus=cores, include_dashboard=False, object_store_memory=STORE_BYTES)

    def lose(self, node: Any, *, is_replaced: bool) -> None:
        """End a node without warning; a fresh one takes its place if that was the last."""
        self._cluster.remove_node(node, allow_graceful=False)
        if is_replaced or not self._cluster.worker_nodes:
            self._add(cores=1)

    def node_of(self, worker: int) -> Any:
        """The node that the process of a worker belongs to; any, if it has just ended."""
        nodes = sorted(self._cluster.worker_nodes, key=lambda node: str(node.node_id))
        return next((node for node in nodes if worker in _below(node)), nodes[0])

    def busy_workers(self) -> set[int]:
        """Process ids of the workers that are at work."""
        return {pid for pid, name in descendants(os.getpid()) if name.startswith(BUSY)}


def _below(node: Any) -> set[int]:
    """Every process of a node."""
    roots = [info.process.pid for infos in node.all_processes.values() for info in infos]
    return {pid for root in roots for pid, _ in descendants(root)}


def descendants(root: int) -> list[tuple[int, str]]:
    """Process id and title of everything below the process `root`."""
    parents, titles = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
                titles[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()
            except OSError:  # it has just ended
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {root}
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return [(pid, titles[pid]) for pid in found - {root} if pid in titles]
