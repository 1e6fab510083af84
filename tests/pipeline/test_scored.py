"""All rows that a stage scored, read from the log beside the rows that the teacher labelled."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, EXPLORED, EXPLORED_TRAILING, IMP, KEYS, REJECTED, SCORED, truth_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.evaluation.explored import SUMS
from ukdsl_assets.learning.evaluation.table import LATER_FIGURES, evaluate
from ukdsl_assets.pipeline import scored
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import COMPARED
from ukdsl_assets.pipeline.scored import ScoredLog, judged_readers, labels_all, share_told, with_trailing
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

DATE = dt.date(2026, 1, 1)
MOMENT = pl.lit(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)).cast(pl.Datetime("us", "UTC"))
STAGES = ["retrieval", "pre_ranking", "ranking"]
ROWS = training_rows(requests=60, considered=12, shown=3)


def log() -> pl.DataFrame:
    """Of 12 candidates a request 3 stay with retrieval, 5 with pre-ranking, and 4 are ranked."""
    rows = ROWS.filter(domain=CD).drop("domain", "weight")
    depth = pl.col("candidate_id").replace_strict(dict(enumerate([2] * 4 + [1] * 5 + [0] * 3)))
    stage = pl.Series(STAGES)[rows.select(depth).to_series()]
    bid = pl.Series(np.arange(len(rows)) % 7 + 1, dtype=pl.Float32)
    rows = rows.with_columns(stage.alias("deepest_stage"), bid=bid, shown=pl.col("candidate_id") < 3)
    return rows.rename({"target": truth_column(STUDENT.task)})


def placed(folder: Path, shards: tuple[int, int] = (2, 2), cascade: Cascade = CASCADE) -> Day:
    """A day whose teacher has labelled what ranking scored, and its log."""
    kept = ROWS.filter((pl.col("domain") == IMP) | (pl.col("candidate_id") < 4))
    kept = kept.filter(withheld(kept["request_id"], CASCADE.withheld_share))
    bid = pl.lit(1.0, pl.Float32)
    taught = kept.with_columns(withheld=pl.lit(True), requested_at=MOMENT, bid=bid, teacher=pl.lit(STUDENT.teacher))
    tables = ((CASCADE.name, STUDENT.name, "teacher_augmented"), taught), ((CASCADE.name, "candidate_log"), log())
    for count, (table, frame) in zip(shards, tables, strict=True):
        lake = Workspace.open(Settings(lake=str(folder), shards=count)).lake
        lake.commit(lake.stage_frame(table, DATE, frame), {})
    return Day(Workspace.open(Settings(lake=str(folder))), cascade, DATE)


@pytest.mark.parametrize("shards", [(1, 1), (2, 2), (2, 3)])
def test_each_shard_has_all_that_the_stage_scored_of_its_withheld_requests(
    tmp_path: Path, shards: tuple[int, int]
) -> None:
    parts = list(judged(placed(tmp_path, shards), STUDENT))
    assert len(parts) == shards[0]
    rows = pl.concat(parts)
    beyond = pl.col("deepest_stage") == "ranking"
    expected = log().filter(pl.col("deepest_stage") != "retrieval")
    expected = expected.filter(withheld(expected["request_id"], CASCADE.withheld_share)).sort(KEYS)
    found = rows.filter(domain=SCORED).sort(KEYS)
    assert found.select(KEYS).equals(expected.select(KEYS))
    assert found["_beyond"].equals(expected.select(beyond).to_series(), check_names=False)
    assert found["bid"].equals(expected["bid"])
    assert found["truth"].equals(expected[truth_column(STUDENT.task)], check_names=False)
    for feature in CASCADE.features_of(STUDENT):
        assert found[feature.name].equals(expected[feature.name])
    taught = found.filter("_beyond")
    assert taught["target"].null_count() == 0
    assert found.filter(~pl.col("_beyond"))["target"].null_count() == len(found) - len(taught)
    for part in parts:
        assert set(part.filter(domain=SCORED)["request_id"]) == set(part.filter(domain=CD)["request_id"])


def test_a_requests_vector_is_the_logs_own_whether_a_labelled_row_of_the_request_holds_it_or_not(
    tmp_path: Path,
) -> None:
    day = placed(tmp_path, (1, 1))
    table = day.lake.scan(day.table(STUDENT.name, "teacher_augmented"), [DATE]).collect().filter("withheld")
    requests = table["request_id"].unique()
    vectors = [f.name for f in CASCADE.features_of(STUDENT) if (f.kind, f.side) == ("vector", "request")]
    assert vectors
    beside = ScoredLog.of(day, STUDENT)
    assert beside is not None
    expected = log().filter(pl.col("request_id").is_in(requests.implode())).sort(KEYS)
    expected = expected.filter(pl.col("deepest_stage") != "retrieval")
    for held in (table, table.filter(pl.col("request_id") != requests[0]), table.drop(vectors)):
        found = beside.beside(held, 0, 1).filter(domain=SCORED)
        for name in vectors:
            assert found[name].to_list() == expected[name].to_list()


def judged(day: Day, student: Student) -> Iterator[pl.DataFrame]:
    return (read() for read in judged_readers(day, student, ScoredLog.of(day, student)))


def test_of_long_slates_a_share_of_the_requests_is_taken_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = placed(tmp_path)
    assert share_told(ScoredLog.of(day, STUDENT)) == {}
    monkeypatch.setattr(scored, "MOST_ROWS", 50)
    taken = ScoredLog.of(day, STUDENT)
    assert taken is not None
    assert taken.share == pytest.approx(50 / (60 * 9 * CASCADE.withheld_share))
    rows = pl.concat(judged(day, STUDENT))
    some, every = (rows.filter(domain=domain)["request_id"] for domain in (SCORED, CD))
    assert 0 < some.n_unique() < every.n_unique()
    assert rows.filter(domain=SCORED).group_by("request_id").len()["len"].unique().to_list() == [9]
    assert share_told(ScoredLog.of(day, STUDENT))["own choice"].startswith(
        f"of {taken.share:.0%} of the withheld requests"
    )


def test_without_truth_and_labels_of_rejected_rows_the_log_is_not_read(tmp_path: Path) -> None:
    blind = CASCADE.model_copy(update={"has_truth": False, "has_probes": False})
    assert labels_all(CASCADE, STUDENT)
    assert not labels_all(blind, STUDENT)
    assert ScoredLog.of(placed(tmp_path, cascade=blind), STUDENT) is None
    last = STUDENT.model_copy(update={"stage": "ranking"})
    assert labels_all(blind, last)


def test_a_days_labels_stand_for_all_that_was_scored_where_one_shard_has_a_rejected_row(tmp_path: Path) -> None:
    day = placed(tmp_path, (3, 3))
    assert not pl.concat(judged(day, STUDENT))["_taught"].any()
    table = (CASCADE.name, STUDENT.name, "teacher_augmented")
    kept = day.lake.scan(table, [DATE]).collect().drop("day", strict=False)
    probe = kept.filter(domain=CD).head(1).with_columns(candidate_id=pl.lit(99, pl.Int64), domain=pl.lit(REJECTED))
    lake = Workspace.open(Settings(lake=str(tmp_path), shards=3)).lake
    for change, stands in ((probe, True), (probe.with_columns(teacher=pl.lit("another")), False)):
        lake.commit(lake.stage_frame(table, DATE, pl.concat([kept, change.cast(kept.schema)])), {})
        shards = [*judged(Day(Workspace.open(Settings(lake=str(tmp_path))), CASCADE, DATE), STUDENT)]
        assert sum(REJECTED in shard["domain"] for shard in shards) == 1
        assert [shard["_taught"].all() for shard in shards] == [stands] * 3
    # Of the last stage the considered rows alone do; here without its log, of whose features nothing is asked.
    alone = Workspace.open(Settings(lake=str(tmp_path / "alone")))
    alone.lake.commit(alone.lake.stage_frame(table, DATE, kept), {})
    last = STUDENT.model_copy(update={"stage": "ranking"})
    assert pl.concat(judged(Day(alone, CASCADE, DATE), last))["_taught"].all()
    assert "_taught" in COMPARED


def evaluation(seed: int, prediction: float) -> pl.DataFrame:
    """A day's evaluation of a baseline alone, with thirty explored rows."""
    labels = (np.random.default_rng(seed).random(30) < 0.3).astype(np.float32)
    rows = pl.DataFrame({"request_id": np.arange(30), "target": labels, "weight": np.ones(30, np.float32)})
    rows = rows.with_columns(domain=pl.lit(IMP), explored=pl.lit(True), propensity=pl.lit(0.5, pl.Float32))
    table = evaluate(rows, {("baseline", "impression"): np.full(30, prediction, np.float32)})
    names = {"cascade": "c", "note": "", "student": "s", "checkpoint": str(seed)}
    table = table.with_columns(pl.lit(value).alias(name) for name, value in names.items())
    return table.select(pl.exclude(*LATER_FIGURES), *LATER_FIGURES)


def test_explored_rows_of_published_days_are_pooled_and_those_of_before_are_left_out(tmp_path: Path) -> None:
    workspace = Workspace.open(Settings(lake=str(tmp_path)))
    cascade = CASCADE.model_copy(update={"exploration_days": 3})
    key = (CASCADE.name, STUDENT.name, "evaluation")
    days = [DATE + dt.timedelta(days=count) for count in range(4)]
    for number, day in enumerate(days[:3]):
        table = evaluation(number, 0.1 * (number + 1))
        old = table.filter(domain=IMP).drop(*LATER_FIGURES) if number == 1 else table
        workspace.lake.commit(workspace.lake.stage_frame(key, day, old), {})
    today = evaluation(3, 0.4)
    whole, versions = with_trailing(Day(workspace, cascade, days[3]), STUDENT, today)
    assert whole.columns == today.columns
    assert whole.head(len(today)).equals(today)
    assert list(versions) == [f"{'/'.join(key)}/{day}" for day in days[1:3]]
    (row,) = whole.filter(domain=EXPLORED_TRAILING).iter_rows(named=True)
    # The day in the middle was evaluated before explored rows were.
    assert (row["rows"], row["days"], row["checkpoint"]) == (60, 2, "3")
    parts = [evaluation(number, 0.1 * (number + 1)).filter(domain=EXPLORED) for number in (2, 3)]
    assert row["positives"] == sum(part["positives"][0] for part in parts)
    assert row[SUMS][1] == pytest.approx(2 * 30 * (0.3 + 0.4))
