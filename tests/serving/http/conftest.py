"""Released students of the simulated item page: made once, copied where a test changes them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.http_server import Served, serving
from tests.fixtures.once import once
from tests.fixtures.served_pages import make_lake


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that no test changes."""
    return once(tmp_path_factory, "exported", make_lake)


@pytest.fixture
def lake(exported: Path, tmp_path: Path) -> Path:
    """A lake of the test's own."""
    return Path(shutil.copytree(exported, tmp_path / "lake"))


@pytest.fixture(scope="module")
def served(exported: Path) -> Iterator[Served]:
    """A server of a module's tests, which change nothing."""
    with serving(exported) as server:
        yield server
