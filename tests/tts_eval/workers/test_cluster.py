import sys

import pytest

from tts_eval.errors import ConfigError, MissingDependencyError
from tts_eval.execution import available_cores
from tts_eval.workers import cluster
from tts_eval.workers.cluster import Cluster, this_machine


class Ray:
    """Ray as far as a connection needs it; it remembers what it was started with, or will not start."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.settings: dict[str, object] = {}
        self.is_up = False

    def is_initialized(self) -> bool:
        return self.is_up

    def init(self, **settings: object) -> None:
        self.settings = settings
        if self._error:
            raise self._error
        self.is_up = True

    def shutdown(self) -> None:
        self.is_up = False


@pytest.fixture
def use(monkeypatch):
    monkeypatch.setattr(cluster, "print_no_deaths", lambda: None)
    monkeypatch.setattr(cluster, "_require_answer", lambda address: None)

    def instead(ray: Ray | None) -> None:
        monkeypatch.setitem(sys.modules, "ray", ray)

    return instead


def test_here_it_starts_a_small_cluster_of_its_own_and_ends_it(use):
    ray = Ray()
    use(ray)
    with Cluster():
        assert ray.settings["address"] == "local"  # whatever else runs on this machine
        assert ray.settings["num_cpus"] == available_cores()
        assert ray.settings["include_dashboard"] is False
        assert ray.settings["object_store_memory"] == 200_000_000
    assert not ray.is_up


def test_elsewhere_it_joins_and_starts_nothing(use):
    ray = Ray()
    use(ray)
    with Cluster("head:6379"):
        assert ray.settings["address"] == "head:6379"
        assert "num_cpus" not in ray.settings
    assert not ray.is_up


def test_a_connection_that_was_there_stays(use):
    ray = Ray()
    ray.is_up = True
    use(ray)
    with Cluster("head:6379"):
        pass
    assert ray.is_up and ray.settings == {}


def test_nothing_is_reported_to_anybody(use, monkeypatch):
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    use(Ray())
    with Cluster():
        assert cluster.os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("Version mismatch: The cluster was started with:\n Ray: 2.9"), "another version.*Ray: 2.9"),
        (ConnectionError("no raylet here"), "could not be joined: no raylet here"),
        (ImportError("grpcio is not installed"), r"pip install 'ray\[client\]'"),
    ],
)
def test_why_a_cluster_cannot_be_joined_is_said(use, error, message):
    use(Ray(error))
    with pytest.raises(ConfigError, match=message):
        Cluster("head:6379")


def test_without_ray_the_command_that_installs_it_is_named(use):
    use(None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ray>=2\.40'"):
        Cluster()


def test_this_machine_has_cores_and_memory():
    here = this_machine()
    assert here.cpus == available_cores()
    assert 0.1 < here.memory < 100_000
