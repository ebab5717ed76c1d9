"""The way to Ray: a cluster of this machine's cores, or one that is found at an address.

Nothing is reported to anybody (Ray's usage statistics and dashboard stay off), and what was started is stopped.
Where the calling process is connected to Ray already, that connection is used and left as it was.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from tts_eval.errors import ConfigError, MissingDependencyError, StoreError
from tts_eval.execution import available_cores
from tts_eval.workers.resources import Node

ANSWER_SECONDS = 10.0
"""How long an address may take to answer."""
NODE_SECONDS = 120.0
"""How long a node may take to start a process and look at a file."""
STORE_BYTES = 200_000_000
"""Ray's object store on this machine. Rows and requests pass through it, never audio."""
GIGABYTE = 1e9


class Cluster:
    """A connection to Ray; a context manager that ends it."""

    def __init__(self, address: str = "") -> None:
        """Connect.

        Args:
            address: HOST:PORT of a cluster's head, ray://HOST:PORT of its client server, `auto` for the one that runs
                on this machine; "" starts one here.

        Raises:
            ConfigError: nothing answers there, or what does is of another Ray or Python version.
            MissingDependencyError: Ray is not installed.
        """
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError("ray", "--executor ray", "ray>=2.40") from error
        self._ray: Any = ray
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            keep_quiet()
            if address not in ("", "auto"):
                _require_answer(address)
            self._start(address)

    def _start(self, address: str) -> None:
        settings: dict[str, Any] = {
            "namespace": f"tts-eval-{uuid.uuid4().hex[:12]}",
            "log_to_driver": False,
            "logging_level": logging.ERROR,
        }
        if address:
            settings["address"] = address
        else:
            settings |= {
                "address": "local",
                "num_cpus": available_cores(),
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
            }
        try:
            self._ray.init(**settings)
        except (RuntimeError, ConnectionError, ValueError, ImportError, TimeoutError) as error:
            raise ConfigError([_explain(address, error)]) from error
        print_no_deaths()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours and self._ray.is_initialized():
            self._ray.shutdown()

    @property
    def nodes(self) -> list[Node]:
        """What each node that is alive has in all, whoever uses it now."""
        return [
            Node(
                name=str(node["NodeManagerAddress"]),
                cpus=float(node["Resources"].get("CPU", 0.0)),
                gpus=float(node["Resources"].get("GPU", 0.0)),
                memory=float(node["Resources"].get("memory", 0.0)) / GIGABYTE,
            )
            for node in self._ray.nodes()
            if node["Alive"]
        ]

    def require_shared(self, folder: Path) -> None:
        """That every node sees `folder` under the same path, by a file that is put there for the occasion.

        Raises:
            ConfigError: some do not, all of them; or some do not answer.
            StoreError: it cannot be written from here.
        """
        probe = folder / f".probe-{uuid.uuid4().hex}"
        try:
            probe.write_text(probe.name, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{folder} cannot be written ({error.strerror}). Give a writable folder.") from error
        try:
            blind = self._blind_nodes(probe)
        finally:
            probe.unlink(missing_ok=True)
        if blind:
            raise ConfigError(
                [
                    f"The run folder {folder} is not what these nodes have there: {', '.join(blind)}. Workers write "
                    "audio into it; give a folder on a file system that all nodes mount at the same path with --out."
                ]
            )

    def _blind_nodes(self, probe: Path) -> list[str]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        alive = [node for node in self._ray.nodes() if node["Alive"]]
        look = self._ray.remote(num_cpus=0)(_sees)
        answers = [
            look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                str(probe), probe.name
            )
            for node in alive
        ]
        blind, mute = [], []
        deadline = time.monotonic() + NODE_SECONDS
        for node, answer in zip(alive, answers, strict=True):
            try:
                if not self._ray.get(answer, timeout=max(deadline - time.monotonic(), 0.0)):
                    blind.append(str(node["NodeManagerAddress"]))
            except self._ray.exceptions.RayError as error:
                # One that was lost a moment ago is missed by nobody: its place may have been taken already.
                if self._is_alive(node["NodeID"]):
                    mute.append(f"{node['NodeManagerAddress']} ({str(error).strip().splitlines()[-1].strip()})")
        if mute:
            raise ConfigError(
                [
                    f"Not every node could be asked whether it has {probe.parent}: {', '.join(mute)}. See that all of "
                    "them are alive ('ray status') and have the same tts-eval."
                ]
            )
        return blind

    def _is_alive(self, node_id: str) -> bool:
        return any(node["NodeID"] == node_id and node["Alive"] for node in self._ray.nodes())


def this_machine() -> Node:
    """What a cluster that is started here offers, GPUs apart: Ray counts those itself."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    return Node(name="this machine", cpus=float(available_cores()), memory=memory)


def _sees(path: str, text: str) -> bool:
    try:
        return Path(path).read_text(encoding="utf-8") == text
    except OSError:
        return False


def keep_quiet() -> None:
    """Have Ray, when it is started, report to nobody and warn of nothing that is as it should be."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Workers without a GPU see none; Ray announces that as a change to come, on every start.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def print_no_deaths() -> None:
    """Ray prints every worker's death on standard output, where `--json` has its object; the crew logs them itself."""
    import ray._private.worker as worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *args, **kwargs: None  # type: ignore[assignment,unused-ignore]


def _require_answer(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(
            [f"address is '{address}'; expected HOST:PORT of a cluster's head (6379), ray://HOST:10001, or auto."]
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            [
                f"Nothing answers at {address} ({error}). Check that the cluster is up ('ray status' on its head), "
                "that the port is the head's (6379) or, with ray://, the client server's (10001), and that no firewall "
                "lies between."
            ]
        ) from error


def _explain(address: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return f"The cluster at {address} is of another version. {text} Install the same Ray and Python here."
    if isinstance(error, ImportError) or "grpcio" in text:
        return f"ray:// needs Ray's client: pip install 'ray[client]'. Or give HOST:6379 on a cluster's node. ({text})"
    if not address:
        return f"Ray could not be started here: {text}"
    return (
        f"The cluster at {address} could not be joined: {text.rstrip('.')}. Check 'ray status' there. Where it wants a "
        "token, as Ray 2.60 does, set RAY_AUTH_MODE=token and have the head's ~/.ray/auth_token here."
    )
