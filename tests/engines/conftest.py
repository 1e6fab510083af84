"""Every engine that can run here: Ray's tests are skipped, saying so, where it is not installed."""

from collections.abc import Iterator

import pytest

from ukdsl_assets.engines.engine import Engine
from ukdsl_assets.engines.open import open_engine


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """A cluster of two cores, of this machine's own, which this process leaves again: other modules join others."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ukdsl-assets[ray]'")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="module", params=["processes", "ray"])
def apart(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine whose workers are other processes."""
    yield from opened(request)


@pytest.fixture(scope="module", params=["local", "processes", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Any engine."""
    yield from opened(request)


def opened(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    engine = open_engine({"ray": "auto", "processes": "processes:2"}.get(request.param, request.param))
    yield engine
    engine.close()
