"""`ukdsl score` on a lake that the graph has made of a small simulated day."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.fixtures.command_line import Command, Ended
from tests.fixtures.graph import run_day, shipped, small
from ukdsl_assets.declaration.parts import Gates
from ukdsl_assets.declaration.release import Release
from ukdsl_assets.lake.checkpoints.store import Checkpoint, CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.pipeline.students import as_student

pytestmark = pytest.mark.slow
CASCADE = shipped("simulated_ads", gates=Gates(student_calibration=(0, 100), normalized_entropy=100))
STUDENT = "pre_ranking_click"
DAY = CASCADE.first_day


@dataclass(frozen=True)
class Made:
    """A day's lake, its candidates as a file, the student that it released, and what the release asset says."""

    lake: Path
    candidates: Path
    released: Checkpoint
    told: dict[str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, warm_state: Path) -> Made:
    folder = tmp_path_factory.mktemp("scored")
    settings = small(folder / "lake", warm_state)
    # The commands find all students declared; a lake of one will do.
    # A small day cannot tell a loss of less than a few per cent.
    student = CASCADE.student(STUDENT).model_copy(update={"release": Release(margin=1.0)})
    gates = CASCADE.gates.model_copy(update={"normalized_entropy": 1.0})
    alone = CASCADE.model_copy(update={"students": (student,), "gates": gates})
    done = run_day(settings, alone, DAY, report=False)
    rows = Lake(settings.tables).scan((CASCADE.name, "candidate_log"), [DAY]).head(20_000).collect()
    rows.write_parquet(folder / "candidates.parquet")
    (event,) = done.asset_materializations_for_node(f"{CASCADE.name}__{STUDENT}__release")
    told = event.metadata["how to score"].value
    assert isinstance(told, dict)
    released = CheckpointStore(settings.checkpoints).load((CASCADE.name, STUDENT, "distilled"), DAY)
    return Made(
        folder / "lake", folder / "candidates.parquet", released, {name: str(text) for name, text in told.items()}
    )


Score = Callable[..., Ended]


@pytest.fixture
def score(ukdsl: Command) -> Score:
    """`ukdsl score` of the made lake's student, to a file."""

    def called(made: Made, target: Path, *more: str) -> Ended:
        files = ("--input", str(made.candidates), "--output", str(target))
        return ukdsl("score", CASCADE.name, STUDENT, *files, *more, UKDSL_LAKE=str(made.lake))

    return called


@pytest.mark.parametrize("head", ["impression", "consideration", "scored"])
def test_scores_are_the_released_students_predictions_and_say_so(
    made: Made, tmp_path: Path, head: str, score: Score
) -> None:
    # The head that serves needs no naming.
    done = score(made, tmp_path / "out.parquet", *(("--head", head) if head != "scored" else ()))
    assert done.returncode == 0, done.stderr
    rows, found = pl.read_parquet(made.candidates), pl.read_parquet(tmp_path / "out.parquet")
    expected = predict_student(as_student(made.released), rows)[head]
    assert found.select("request_id", "candidate_id").equals(rows.select("request_id", "candidate_id"))
    np.testing.assert_allclose(found["prediction"].to_numpy(), expected, rtol=5e-7)
    said = pq.ParquetFile(tmp_path / "out.parquet").schema_arrow.metadata
    metadata = {name.decode(): value.decode() for name, value in said.items()}
    assert metadata == {
        "cascade": CASCADE.name,
        "student": STUDENT,
        "arm": "distilled",
        "head": head,
        "checkpoint": f"{DAY}/{made.released.version}",
        "note": "simulated",
    }
    assert made.released.version in done.stdout
    assert f"head {head}" in done.stdout
    assert "20,000 rows" in done.stdout


def test_the_days_checkpoint_may_be_named(made: Made, tmp_path: Path, score: Score) -> None:
    assert score(made, tmp_path / "a.parquet").returncode == 0
    assert score(made, tmp_path / "b.parquet", "--day", str(DAY)).returncode == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_release_asset_tells_the_command_and_where_the_checkpoint_is(
    made: Made, tmp_path: Path, ukdsl: Command
) -> None:
    assert (Path(made.told["checkpoint folder"]) / "checkpoint.json").is_file()
    assert made.told["checkpoint folder"].endswith(made.released.version)
    out = tmp_path / "out.parquet"
    said = made.told["score with"].replace("CANDIDATES.parquet", str(made.candidates))
    setting, program, *arguments = shlex.split(said.replace("SCORES.parquet", str(out)))
    assert (setting, program) == (f"UKDSL_LAKE={made.lake}", "ukdsl")
    done = ukdsl(*arguments, UKDSL_LAKE=made.lake)
    assert done.returncode == 0, done.stderr
    assert pq.ParquetFile(out).metadata.num_rows == 20_000


def test_ids_of_another_space_are_told_with_what_that_may_mean(made: Made, tmp_path: Path, score: Score) -> None:
    vocabularies = as_student(made.released).encoder.vocabularies
    trained = [pl.col(name).is_in(vocabularies[name][0].implode()) for name in ("ad", "advertiser")]
    rows = pl.read_parquet(made.candidates).filter(*trained)
    native, foreign = tmp_path / "native.parquet", tmp_path / "foreign.parquet"
    told = ("Most ids of", "ids of another space", f"it is of {DAY}", "Compare some values")
    rows.write_parquet(native)
    done = score(replace(made, candidates=native), tmp_path / "scores.parquet")
    assert done.returncode == 0, done.stderr
    assert not any(each in done.stdout for each in told)
    # Another identifier of the same ads, and a few new countries.
    new = pl.when(pl.int_range(pl.len()) % 10 == 0).then(10_000).otherwise("country").cast(rows["country"].dtype)
    rows.with_columns(pl.col("ad") + 1_000_000, country=new).write_parquet(foreign)
    done = score(replace(made, candidates=foreign), tmp_path / "out.parquet")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "ad 100.00%" in said
    assert "country 10." in said
    assert "Most ids of ad are unknown, so" in said
    assert all(each in said for each in told)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--day", "2026-01-02"), "no checkpoint is published"),
        (("--day", "2026-01-01..2026-01-02"), "--day: expected one day"),
        (("--day", "soon"), "saw 'soon'"),
        (("--output", "."), "is a folder; name a file in it"),
        (("--input", "nowhere.parquet"), "is no Parquet or CSV file and no folder"),
    ],
)
def test_wrong_arguments_exit_with_two_without_a_traceback(
    made: Made, tmp_path: Path, more: tuple[str, ...], expected: str, score: Score
) -> None:
    done = score(made, tmp_path / "out.parquet", *more)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_lake_without_a_release_names_the_command_that_makes_one(made: Made, tmp_path: Path, score: Score) -> None:
    done = score(Made(tmp_path / "empty", made.candidates, made.released, {}), tmp_path / "out.parquet")
    assert done.returncode == 2
    assert f"ukdsl run {CASCADE.name} --days" in done.stderr
