"""The decision on a day's checkpoint, on a lake with an evaluation and a student: released, refused, or too old."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT
from ukdsl_assets.errors import LakeError
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.release import decide, how_to_score, stale
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

DAY = date(2026, 1, 5)
KEY = (CASCADE.name, STUDENT.name)
HEADS = (("baseline", "impression"), ("distilled", "impression"), ("distilled", "consideration"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(Settings(lake=str(tmp_path)))


def made(
    workspace: Workspace, day: date, positives: int = 20, prediction: float = 0.5, of: str = ""
) -> tuple[Day, str]:
    """A day with a checkpoint and an evaluation of 40 shown and 40 considered rows; and the checkpoint's version.

    Args:
        positives: labels of the shown rows; the teacher says 0.5.
        prediction: of both arms.
        of: the version that was evaluated, the checkpoint's own by default.
    """
    store = workspace.checkpoints
    checkpoint = store.save((*KEY, "distilled"), day, {"of": str(day)}, tensors={"bias": np.zeros(1, np.float32)})
    store.publish(checkpoint)
    rows = pl.DataFrame(
        {
            "request_id": np.arange(80),
            "domain": ["IMP"] * 40 + ["CD"] * 40,
            "target": np.concatenate([np.arange(40) < positives, np.full(40, 0.5)]).astype(np.float32),
            "weight": np.ones(80, np.float32),
        }
    )
    table = evaluate(rows, dict.fromkeys(HEADS, np.full(80, prediction, np.float32)))
    # The baseline was judged as another checkpoint.
    versions = pl.when(arm="distilled").then(pl.lit(of or checkpoint.version)).otherwise(pl.lit("of the baseline"))
    lake = workspace.lake
    lake.commit(lake.stage_frame((*KEY, "evaluation"), day, table.with_columns(checkpoint=versions)), {})
    return Day(workspace, CASCADE, day), checkpoint.version


def test_a_checkpoint_whose_gates_passed_is_released_and_says_of_what(workspace: Workspace) -> None:
    day, version = made(workspace, DAY)
    decision = decide(day, STUDENT)
    assert (decision.checkpoint, decision.reasons, decision.message) == (version, [], "released")
    entry = {"day": str(DAY), "arm": "distilled", "checkpoint": version, "note": CASCADE.note}
    assert workspace.checkpoints.released(KEY) == entry
    assert [each["outcome"] for each in workspace.checkpoints.release_history(KEY)] == ["released"]


@pytest.mark.parametrize(
    ("wrong", "reasons"),
    [
        ({"prediction": 0.9}, ["calibrated_on_consideration"]),
        ({"positives": 4}, ["normalized_entropy_on_impression_kept"]),
        ({"of": "another"}, ["the evaluation is of checkpoint another"]),
    ],
    ids=["miscalibrated", "too few labels", "evaluated another"],
)
def test_a_refusal_is_recorded_with_its_reasons_and_what_is_released_stays(
    workspace: Workspace, wrong: dict[str, float | str], reasons: list[str]
) -> None:
    before, version = made(workspace, DAY)
    decide(before, STUDENT)
    day, _ = made(workspace, DAY + timedelta(days=1), **wrong)  # type: ignore[arg-type]
    decision = decide(day, STUDENT)
    assert [reason.split(": ")[0].split(",")[0] for reason in decision.reasons] == reasons
    assert decision.message == "refused: " + "; ".join(decision.reasons)
    released = workspace.checkpoints.released(KEY)
    assert released is not None
    assert (released["day"], released["checkpoint"]) == (str(DAY), version)
    last = workspace.checkpoints.release_history(KEY, last=1)[0]
    assert (last["outcome"], last["entry"]["reasons"]) == ("refused", decision.reasons)
    assert last["entry"]["day"] == str(day.date)


def test_a_backfill_is_judged_and_does_not_move_the_pointer_back(workspace: Workspace) -> None:
    newer, _ = made(workspace, DAY)
    decide(newer, STUDENT)
    older, version = made(workspace, DAY - timedelta(days=1))
    decision = decide(older, STUDENT)
    assert (decision.checkpoint, decision.reasons) == (version, [])
    assert decision.message == f"passed; the checkpoint of {DAY}, which is newer, stays released"
    # The day that is released may be decided again.
    assert decide(newer, STUDENT).message == "released"
    assert [each["outcome"] for each in workspace.checkpoints.release_history(KEY)] == ["released"]


def test_an_evaluation_of_another_checkpoint_is_stale() -> None:
    assert stale("a", "a") == []
    (reason,) = stale("a", "b")
    assert reason == "the evaluation is of checkpoint b, the day's is a; materialize evaluation again"


def test_the_command_that_scores_names_the_places_that_are_set(tmp_path: Path) -> None:
    released = {"day": str(DAY), "arm": "distilled", "checkpoint": "abc"}
    told = how_to_score(Settings(lake=str(tmp_path / "a lake")), KEY, released)
    assert told["score with"] == (
        f"UKDSL_LAKE='{tmp_path}/a lake' ukdsl score {' '.join(KEY)} --input CANDIDATES.parquet --output SCORES.parquet"
    )
    assert told["checkpoint folder"].startswith(str(tmp_path / "a lake"))
    assert told["checkpoint folder"].endswith("/distilled/checkpoints/day=2026-01-05/abc")
    placed = how_to_score(Settings(lake="lake", cascades=tmp_path), KEY, released)
    assert f"UKDSL_CASCADES={tmp_path} ukdsl score" in placed["score with"]


def test_a_damaged_pointer_is_mended_by_making_the_day_again_as_its_message_says(workspace: Workspace) -> None:
    day, version = made(workspace, DAY)
    decide(day, STUDENT)
    pointer = Path(workspace.settings.checkpoints, *KEY, "released.json")
    pointer.write_text("{")
    with pytest.raises(LakeError, match="or release again: ukdsl run"):
        workspace.checkpoints.released(KEY)
    assert decide(day, STUDENT).message == "released"
    assert (workspace.checkpoints.released(KEY) or {})["checkpoint"] == version
