"""The public surface: five names, found when they are asked for, each with an example that runs."""

import doctest
import inspect
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import ukdsl_assets
from tests.fixtures.released import published, release
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.training import Training

PUBLIC = ["candidate_log_schema", "event_log_schema", "load_student", "read_cascade", "student_importance"]
# Its example compiles kernels, once a machine.
SLOW = {"student_importance"}

SHIPPED_HEADS = CASCADE.student(STUDENT.name).heads


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples name beside what they import."""
    lake = tmp_path_factory.mktemp("public") / "lake"
    quick = STUDENT.model_copy(
        update={"heads": SHIPPED_HEADS, "epochs": 6, "requests_per_batch": 16, "learning_rate": 0.01}
    )
    fitted = fit_student(Training.of(CASCADE, quick, "distilled", training_rows(200))).student
    published(lake, CASCADE, STUDENT.name, fitted, CASCADE.first_day)
    release(lake, published(lake, CASCADE, STUDENT.name, fitted, CASCADE.first_day + timedelta(days=1)))
    return {"lake": lake, "rows": training_rows(60, seed=1).filter(domain="CD")}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in PUBLIC])
def test_the_example_of_each_public_name_runs_as_it_is_printed(name: str, given: dict[str, Any]) -> None:
    door = getattr(ukdsl_assets, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(door, name, globs=dict(given))
    assert len(example.examples) >= 4
    said: list[str] = []
    result = doctest.DocTestRunner().run(example, out=said.append)
    assert not result.failed, "".join(said)


def test_the_public_names_are_these_and_each_leads_to_its_own_function() -> None:
    assert ukdsl_assets.__all__ == PUBLIC
    assert {name for name in dir(ukdsl_assets) if not name.startswith("__")} == set(PUBLIC)
    for name in PUBLIC:
        door = getattr(ukdsl_assets, name)
        assert inspect.isfunction(door)
        assert door.__name__ == name
        assert door.__doc__
        assert door.__module__.startswith("ukdsl_assets.")


def test_the_page_of_public_names_has_exactly_these() -> None:
    page = (Path(ukdsl_assets.__file__).parents[1] / "docs" / "public.md").read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(row.partition("(")[0] for row in rows) == PUBLIC


def test_another_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Lake'; its public names are .*load_student"):
        ukdsl_assets.Lake  # noqa: B018
    with pytest.raises(ImportError):
        exec("from ukdsl_assets import build_defs")


def test_importing_the_package_alone_loads_nothing_heavy() -> None:
    script = "import sys, ukdsl_assets; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    alone = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(alone.stdout.split())
    assert "ukdsl_assets" in loaded
    assert not loaded & {"polars", "torch", "dagster", "duckdb", "lightgbm", "numba", "numpy", "pydantic", "yaml"}


def test_a_door_loads_what_it_needs_and_no_more() -> None:
    script = "import sys; from ukdsl_assets import read_cascade; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(loaded.stdout.split()) & {"polars", "torch", "dagster", "duckdb"}


def test_who_cites_the_software_names_this_version() -> None:
    citation = yaml.safe_load((Path(ukdsl_assets.__file__).parents[1] / "CITATION.cff").read_text())
    assert citation["version"] == ukdsl_assets.__version__
    papers = [each["identifiers"][0]["value"] for each in citation["references"]]
    assert papers == ["arXiv:2502.06834", "arXiv:2603.28994", "arXiv:2108.05891"]
