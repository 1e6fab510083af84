"""The package as others install it: a wheel in an environment of its own, at work in a project's folder."""

import os
import site
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.command_line import shop_in
from tests.fixtures.shop import DAY
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.settings import PROJECT

pytestmark = pytest.mark.slow
pytest.importorskip("hatchling", reason="builds the package; needs pip install hatchling")
# A new table of a user's own, and one in place of a shipped one with a column more.
CLICKS_BY_COUNTRY = """\
-- description: Clicks by country.
-- owner: team:shop
-- scope: cascade
-- keys: [country]
-- shard_key: none
-- columns:
--   country: {description: Where the user is., type: VARCHAR, not_null: true}
--   clicks: {description: Clicks of the day., type: BIGINT, not_null: true}
SELECT country, count(*) FILTER (WHERE click)::BIGINT AS clicks FROM impressions GROUP BY country ORDER BY country
"""


def build(source: Path, target: Path, kind: str) -> Path:
    """What the build backend makes of a folder of sources, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the sources' archive, which must hold all that a wheel is made of."""
    folder = tmp_path_factory.mktemp("built")
    with tarfile.open(build(PROJECT, folder / "sdist", "sdist")) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.glob("ukdsl_assets-*")
    return build(unpacked, folder / "wheel", "wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of an environment with the wheel; what it depends on is the running environment's."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", "--no-compile", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path alone: an editable install's own line, which would lead back here, is not followed.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder: a cascade, its logs, own SQL and an `.env` that says where they are."""
    shop_in(tmp_path)
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "clicks_by_country.sql").write_text(CLICKS_BY_COUNTRY)
    (tmp_path / ".env").write_text("UKDSL_LAKE=lake\nUKDSL_CASCADES=cascades\nUKDSL_SQL=sql\n")
    return tmp_path


def called(*command: str | Path, folder: Path) -> str:
    """A command from a folder, with nothing in the environment that would lead to the clone; its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UKDSL_", "DAGSTER_", "PYTHON"))}
    done = subprocess.run([*map(str, command)], cwd=folder, env=kept, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_of_the_sources_archive_is_that_of_the_clone(wheel: Path, tmp_path: Path) -> None:
    def files(path: Path) -> dict[str, int]:
        return {each.filename: each.CRC for each in zipfile.ZipFile(path).infolist()}

    assert files(wheel) == files(build(PROJECT, tmp_path, "wheel"))
    sources = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "ukdsl_assets").rglob("*") if path.is_file()}
    assert {name for name in sources if "__pycache__" not in name} <= set(files(wheel))


def test_an_installed_package_makes_and_scores_a_day_of_a_project(installed: Path, project: Path) -> None:
    where = called(installed / "python", "-c", "import ukdsl_assets; print(ukdsl_assets.__file__)", folder=project)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert "score" in called(installed / "ukdsl", "--help", folder=project)
    called(installed / "ukdsl", "run", "shop", "--days", str(DAY), folder=project)
    assert (project / ".dagster_home" / "dagster.yaml").read_text() == (PROJECT / "dagster.yaml").read_text()
    clicks = Lake(str(project / "lake" / "tables")).scan(("shop", "clicks_by_country"), [DAY]).collect()
    assert clicks["clicks"].sum() > 0
    assert (project / "lake" / "reports" / "shop" / f"day={DAY}" / "report.html").is_file()
    candidates = Lake(str(project / "lake" / "tables")).scan(("shop", "candidate_log"), [DAY]).collect()
    candidates.write_parquet(project / "candidates.parquet")
    files = ("--input", "candidates.parquet", "--output", "scores.parquet")
    called(installed / "ukdsl", "score", "shop", "pre_ranking_click", *files, "--day", str(DAY), folder=project)
    scores = pl.read_parquet(project / "scores.parquet")
    assert scores.select("request_id", "candidate_id").equals(candidates.select("request_id", "candidate_id"))
    # Without an `.env`, and outside of a clone, the lake is that of the folder.
    script = "from ukdsl_assets.settings import Settings; print(Settings().lake, Settings().kuairand)"
    assert called(installed / "python", "-c", script, folder=project / "sql") == "lake kuairand_pure\n"
