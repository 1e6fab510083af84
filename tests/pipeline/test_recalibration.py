"""A foreign teacher's labels on a line through this surface's own: of the past and today, never of withheld rows."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.engines import with_pickling_engine
from tests.fixtures.other_cascade import BY_TEACHER, HERE, here
from tests.fixtures.rows import CASCADE as ADS
from tests.fixtures.rows import TEACHER, impressions
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import CrossDomainTeacher
from ukdsl_assets.defs.cross_domain import labels_asset
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.cross_domain.foreign import translated
from ukdsl_assets.learning.metrics.platt import apply_platt, fit_platt
from ukdsl_assets.learning.teachers.trees import FittedTeacher, as_checkpoint, fit_teacher, predict_teacher
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAYS = [date(2026, 1, day) for day in (1, 2, 3, 4)]
# The line of this day is looked at; the next day has come already.
DAY = DAYS[2]
LABELS, EVALUATION = ((HERE.name, BY_TEACHER.name, name) for name in ("teacher_labels", "teacher_evaluation"))
RECALIBRATED = BY_TEACHER.model_copy(update={"recalibration": "labels", "window_days": 2})
CLICK = RECALIBRATED.model_copy(update={"tasks": {"click": "click"}})
Change = Callable[[date, pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def fitted() -> FittedTeacher:
    return fit_teacher(ADS, TEACHER, impressions(seed=5), threads=1)


def rarer(day: date, rows: pl.DataFrame) -> pl.DataFrame:
    """Two thirds of the clicks never happened, so that the teacher says far too much here."""
    return rows.with_columns(
        click=pl.when(pl.col("candidate_id") % 3 == 0).then("click").otherwise(0.0).cast(pl.Float32)
    )


def ran(
    lake: Path,
    fitted: FittedTeacher,
    teacher: CrossDomainTeacher = CLICK,
    shards: int = 1,
    rows: int = 1500,
    change: Change = rarer,
    cascade: Cascade = HERE,
    apart: bool = False,
) -> tuple[Workspace, dg.ExecuteInProcessResult]:
    """Four days of impressions; the asset of the third, perhaps by workers that all is sent to."""
    workspace = Workspace.open(Settings(lake=str(lake), threads=1, shards=shards))
    workspace = with_pickling_engine(workspace)[0] if apart else workspace
    saved = workspace.checkpoints.save((ADS.name, TEACHER.name), DAYS[0], as_checkpoint(fitted), text=fitted.text)
    workspace.checkpoints.publish(saved)
    for seed, day in enumerate(DAYS):
        for table, more in (("impressions", 0), ("considerations", 10**6)):
            logged = impressions(rows, seed=seed + more)
            labelled = here(logged).hstack(logged.select("deepest_stage", "explored", "click", "conversion"))
            # The request of another day has another number, so that it is another draw of who is withheld.
            labelled = labelled.with_columns(pl.col("request_id") + 10**6 * seed, pl.col("candidate_id") + more)
            staged = workspace.lake.stage_frame((HERE.name, table), day, change(day, labelled).sort("request_id"))
            workspace.lake.commit(staged, {})
    asset = labels_asset(
        cascade.model_copy(update={"teachers": (teacher,)}),
        ADS.model_copy(update={"teachers": (TEACHER,)}),
        workspace,
        teacher,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        return workspace, dg.materialize([asset], partition_key=str(DAY), instance=instance, raise_on_error=False)


def told(workspace: Workspace, task: str = "click") -> str:
    return workspace.lake.history(LABELS, DAY)[0].metadata[f"recalibration of {task}"]


@pytest.fixture(scope="module")
def moved(
    tmp_path_factory: pytest.TempPathFactory, fitted: FittedTeacher
) -> tuple[Workspace, dg.ExecuteInProcessResult]:
    return ran(tmp_path_factory.mktemp("moved"), fitted)


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory, fitted: FittedTeacher) -> Workspace:
    teacher = CLICK.model_copy(update={"recalibration": "none", "allow_worse_than_constant": True})
    return ran(tmp_path_factory.mktemp("as_it_is"), fitted, teacher)[0]


def labels_of(workspace: Workspace) -> pl.DataFrame:
    return workspace.lake.scan(LABELS, [DAY]).collect().sort("request_id", "candidate_id")


def test_labels_lie_on_platts_line_through_the_windows_own_rows(
    moved: tuple[Workspace, dg.ExecuteInProcessResult], as_it_is: Workspace, fitted: FittedTeacher
) -> None:
    workspace, done = moved
    assert done.success
    spoken, shown = [], []
    for day in DAYS[1:3]:
        rows = workspace.lake.scan((HERE.name, "impressions"), [day]).collect()
        rows = rows.filter(~withheld(rows["request_id"], HERE.withheld_share))
        said = predict_teacher(fitted, translated(CLICK, fitted.features, rows), threads=1)
        spoken.append(said["click_prediction"].to_numpy())
        shown.append(rows["click"].to_numpy())
    slope, intercept = fit_platt(np.concatenate(spoken), np.concatenate(shown))
    expected = apply_platt(labels_of(as_it_is)["click_prediction"].to_numpy(), slope, intercept)
    np.testing.assert_allclose(labels_of(workspace)["click_prediction"].to_numpy(), expected, rtol=1e-5)
    count, positives = len(np.concatenate(shown)), int(np.concatenate(shown).sum())
    assert told(workspace).endswith(f"{count} impressions that are not withheld, with {positives} positive labels")
    found = re.match(r"slope (\S+), intercept (\S+), fitted to", told(workspace))
    assert found is not None
    assert [float(each) for each in found.groups()] == pytest.approx([slope, intercept], rel=1e-4)


def test_withheld_requests_and_other_days_say_nothing_to_the_line(
    moved: tuple[Workspace, dg.ExecuteInProcessResult], fitted: FittedTeacher, tmp_path: Path
) -> None:
    def other(day: date, rows: pl.DataFrame) -> pl.DataFrame:
        rows = rarer(day, rows)
        unread = day not in DAYS[1:3]
        held = withheld(rows["request_id"], HERE.withheld_share)
        return rows.with_columns(
            click=pl.when(held | unread).then(1 - pl.col("click")).otherwise("click").cast(pl.Float32)
        )

    allowed = CLICK.model_copy(update={"allow_worse_than_constant": True})
    changed, _ = ran(tmp_path, fitted, allowed, change=other)
    assert told(changed) == told(moved[0])
    assert_frame_equal(labels_of(changed), labels_of(moved[0]), check_exact=True)


def test_the_evaluation_has_the_teacher_as_it_is_beside_what_is_published(
    moved: tuple[Workspace, dg.ExecuteInProcessResult], as_it_is: Workspace
) -> None:
    both = moved[0].lake.scan(EVALUATION, [DAY]).collect()
    alone = as_it_is.lake.scan(EVALUATION, [DAY]).collect()
    assert both["labels"].to_list() == ["as it is", "recalibrated"]
    assert_frame_equal(both.filter(labels="as it is"), alone, check_exact=True)
    before, after = both.to_dicts()
    assert before["calibration"] > 2
    assert after["calibration"] == pytest.approx(1, abs=3 * after["calibration_error"])
    assert after["ne"] < 1 < before["ne"]
    assert after["auc"] == pytest.approx(before["auc"])
    # The gates judge what is published: as it is, the teacher would have been refused.
    checks = {each.check_name: each for each in moved[1].get_asset_check_evaluations()}
    assert checks["click_better_than_a_constant"].passed


def test_the_record_names_the_days_that_the_line_was_fitted_to(
    moved: tuple[Workspace, dg.ExecuteInProcessResult],
) -> None:
    workspace, done = moved
    commit = workspace.lake.history(LABELS, DAY)[0].metadata
    before = Day(workspace, HERE, DAYS[1]).partition((HERE.name, "impressions"))
    assert commit[f"input:{HERE.name}/impressions/{DAYS[1]}"] == before.data_version
    assert not any(str(day) in name for name in commit for day in (DAYS[0], DAYS[3]))
    events = done.asset_materializations_for_node("__".join(LABELS))
    assert all(event.metadata["recalibration of click"].value == told(workspace) for event in events)
    assert len(events) == 2


@pytest.mark.parametrize("apart", [False, True], ids=["here", "elsewhere"])
def test_shards_change_nothing_wherever_they_are_worked_on(
    moved: tuple[Workspace, dg.ExecuteInProcessResult], fitted: FittedTeacher, tmp_path: Path, apart: bool
) -> None:
    parts, _ = ran(tmp_path, fitted, shards=4, apart=apart)
    assert told(parts) == told(moved[0])
    assert_frame_equal(labels_of(parts), labels_of(moved[0]), check_exact=True)
    tables = [each.lake.scan(EVALUATION, [DAY]).collect() for each in (parts, moved[0])]
    assert_frame_equal(*tables, check_exact=True)


def test_with_too_few_positives_or_delayed_labels_it_stays_as_it_is_and_says_so(
    fitted: FittedTeacher, tmp_path: Path
) -> None:
    few, done = ran(tmp_path, fitted, RECALIBRATED, rows=90)
    assert done.success
    assert "positive labels are fewer than the 20 it takes" in told(few)
    assert told(few, "conversion").startswith("as it is, since its labels keep arriving")
    figures = few.lake.scan(EVALUATION, [DAY]).collect()
    assert figures.select("labels", "task").rows() == [("as it is", "click"), ("as it is", "conversion")]
    plain, _ = ran(tmp_path / "plain", fitted, RECALIBRATED.model_copy(update={"recalibration": "none"}), rows=90)
    assert_frame_equal(labels_of(few), labels_of(plain), check_exact=True)


def test_the_dependency_on_impressions_is_the_window() -> None:
    workspace = Workspace.open(Settings(lake="unused", threads=1))
    asset = labels_asset(HERE, ADS.model_copy(update={"teachers": (TEACHER,)}), workspace, CLICK)
    key = dg.AssetKey((HERE.name, "impressions"))
    (described, *_) = asset.specs
    mapping = next(dep.partition_mapping for dep in described.deps if dep.asset_key == key)
    assert isinstance(mapping, dg.TimeWindowPartitionMapping)
    assert mapping.start_offset == -1


def test_both_lines_of_the_evaluation_are_of_rows_that_were_shown_as_they_are_scored(
    fitted: FittedTeacher, tmp_path: Path
) -> None:
    features = tuple(
        each.model_copy(update={"side": "candidate", "served_as": 3}) if each.name == "seller" else each
        for each in HERE.features
    )
    workspace, _ = ran(tmp_path, fitted, cascade=HERE.model_copy(update={"features": features}))
    both = workspace.lake.scan(EVALUATION, [DAY]).collect()
    shown = workspace.lake.scan((HERE.name, "impressions"), [DAY]).filter(seller=3).collect()
    held = shown.filter(withheld(shown["request_id"], HERE.withheld_share)).height
    assert held > 0
    assert both["labels"].to_list() == ["as it is", "recalibrated"]
    assert both["rows"].to_list() == [held, held]
