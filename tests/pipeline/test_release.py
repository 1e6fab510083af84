"""The decision about a checkpoint, on a lake with an evaluation, a comparison and a student."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from tests.fixtures.rows import CASCADE
from tests.fixtures.rows import STUDENT as SHIPPED
from ukdsl_assets.declaration.release import Release
from ukdsl_assets.errors import LakeError
from ukdsl_assets.learning.evaluation.champion import paired
from ukdsl_assets.learning.evaluation.champion_table import Pairing, comparison_rows
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.learning.teachers.exploration import audit_on_exploration
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import released_before
from ukdsl_assets.pipeline.release import decide, how_to_score, stale
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

DAY = date(2026, 1, 5)
STUDENT = SHIPPED.model_copy(update={"release": Release()})
NEXT_DAY = STUDENT.model_copy(update={"release": Release(decided_by="next_day")})
KEY = (CASCADE.name, STUDENT.name)
HEADS = (("baseline", "impression"), ("distilled", "impression"), ("distilled", "consideration"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(Settings(lake=str(tmp_path)))


def made(
    workspace: Workspace,
    day: date,
    positives: int = 60,
    prediction: float = 0.5,
    of: str = "",
    lean: float = 0.0,
    when: dict[str, str] | None = None,
) -> tuple[Day, str]:
    """A day with a checkpoint, an evaluation and a comparison of 120 shown and 120 considered rows; and its version.

    Args:
        positives: labels of the shown rows; the teacher says 0.5.
        prediction: of both arms.
        of: the version that was evaluated, the checkpoint's own by default.
        lean: how far the champion, which else predicts the same, leans to the labels.
        when: comparison -> the challenger's version in it; on the same day, the checkpoint's own by default.
    """
    store = workspace.checkpoints
    checkpoint = store.save((*KEY, "distilled"), day, {"of": str(day)}, tensors={"bias": np.zeros(1, np.float32)})
    store.publish(checkpoint)
    rows = pl.DataFrame(
        {
            "request_id": np.arange(240),
            "domain": ["IMP"] * 120 + ["CD"] * 120,
            "target": np.concatenate([np.arange(120) < positives, np.full(120, 0.5)]).astype(np.float32),
            "weight": np.ones(240, np.float32),
        }
    )
    table = evaluate(rows, dict.fromkeys(HEADS, np.full(240, prediction, np.float32)))
    # The baseline was judged as another checkpoint.
    versions = pl.when(arm="distilled").then(pl.lit(of or checkpoint.version)).otherwise(pl.lit("of the baseline"))
    lake = workspace.lake
    lake.commit(lake.stage_frame((*KEY, "evaluation"), day, table.with_columns(checkpoint=versions)), {})
    request, target, weight = (rows[name].to_numpy().astype(float) for name in ("request_id", "target", "weight"))
    said = np.full(120, prediction, np.float32)
    champion = (said + lean * (target[:120] - 0.5)).astype(np.float32)
    shown = paired(request[:120].astype(int), target[:120], weight[:120], champion, said)
    tables = [
        comparison_rows(
            Pairing(name, STUDENT.teacher, version or of or checkpoint.version, day, "old", day, "released"),
            {"IMP": shown, "CD": shown},
        )
        for name, version in (when or {"same_day": ""}).items()
    ]
    lake.commit(lake.stage_frame((*KEY, "champion_comparison"), day, pl.concat(tables)), {})
    return Day(workspace, CASCADE, day), checkpoint.version


def test_a_checkpoint_whose_gates_passed_is_released_and_says_of_what(workspace: Workspace) -> None:
    day, version = made(workspace, DAY)
    decision = decide(day, STUDENT)
    assert (decision.checkpoint, decision.reasons, decision.message) == (version, [], "Released")
    assert (decision.verdict.passed, decision.verdict.judged) == (True, True)
    entry = {"day": str(DAY), "arm": "distilled", "checkpoint": version, "note": CASCADE.note, "decided_on": str(DAY)}
    assert workspace.checkpoints.released(KEY) == entry
    assert [each["outcome"] for each in workspace.checkpoints.release_history(KEY)] == ["released"]


@pytest.mark.parametrize(
    ("wrong", "reasons"),
    [
        ({"prediction": 0.9}, ["calibrated_on_consideration", "calibrated_on_impression"]),
        ({"lean": 0.2}, ["no_worse_than_champion_on_impression", "no_worse_than_champion_on_scored"]),
        ({"of": "another"}, ["evaluation is of checkpoint another", "champion_comparison is of checkpoint another"]),
    ],
    ids=["miscalibrated", "worse than the champion", "evaluated another"],
)
def test_a_refusal_is_recorded_with_its_reasons_and_what_is_released_stays(
    workspace: Workspace, wrong: dict[str, float | str], reasons: list[str]
) -> None:
    before, version = made(workspace, DAY)
    decide(before, STUDENT)
    day, _ = made(workspace, DAY + timedelta(days=1), **wrong)  # type: ignore[arg-type]
    decision = decide(day, STUDENT)
    assert [reason.split(": ")[0].split(",")[0] for reason in decision.reasons] == reasons
    assert decision.message == "Refused: " + "; ".join(decision.reasons)
    released = workspace.checkpoints.released(KEY)
    assert released is not None
    assert (released["day"], released["checkpoint"]) == (str(DAY), version)
    last = workspace.checkpoints.release_history(KEY, last=1)[0]
    assert (last["outcome"], last["entry"]["reasons"]) == ("refused", decision.reasons)
    assert last["entry"]["day"] == str(day.date)


def audited(day: Day, shift: float, prediction: float | None = None) -> None:
    """A table of its teacher's audit: logits `shift` too high where chance showed them, or a constant prediction."""
    rng = np.random.default_rng(5)
    x = rng.normal(-2, 1, 6000)
    says = expit(x + shift) if prediction is None else np.full(x.size, prediction)
    rows = pl.DataFrame(
        {
            "day": pl.Series([day.date] * x.size),
            "request_id": np.arange(x.size) // 3,
            "propensity": 1.0,
            "click": (rng.random(x.size) < expit(x)).astype(np.float32),
            "click_prediction": says.astype(np.float32),
            "conversion": pl.Series([None] * x.size, dtype=pl.Float32),
            "conversion_prediction": says.astype(np.float32),
        }
    )
    table = audit_on_exploration(CASCADE, CASCADE.teacher(STUDENT.teacher), rows, day.date, rows, rows)
    lake = day.workspace.lake
    lake.commit(lake.stage_frame((CASCADE.name, STUDENT.teacher, "teacher_audit"), day.date, table), {})


@pytest.mark.parametrize(
    ("teacher", "gate"),
    [
        ({"shift": 1.5}, "teacher_agrees_on_exploration"),
        ({"shift": 0, "prediction": 0.18}, "teacher_better_than_const"),
    ],
    ids=["off where chance showed it", "a constant"],
)
def test_a_wrong_teacher_refuses_first_whatever_agrees_with_it_unless_it_is_accepted_by_name(
    workspace: Workspace, teacher: dict[str, float], gate: str
) -> None:
    day, version = made(workspace, DAY)
    audited(day, **teacher)
    decision = decide(day, STUDENT)
    (reason,) = decision.reasons
    assert reason.startswith(gate)
    assert decision.message == f"Refused: {reason}"
    assert workspace.checkpoints.released(KEY) is None
    leave = STUDENT.model_copy(update={"accept": (reason.split(":")[0],)})
    advice = f", or accept this by name: `accept: [{gate}"
    reason, said, _ = reason.partition(advice)
    assert said
    assert decide(day, leave).message == f"Released; accepted by name: {reason}"
    released = workspace.checkpoints.released(KEY)
    assert released is not None
    assert (released["checkpoint"], released["accepted"]) == (version, [reason])


def test_a_teacher_that_is_right_changes_no_decision(workspace: Workspace) -> None:
    day, _ = made(workspace, DAY)
    audited(day, 0.0)
    assert decide(day, STUDENT).message == "Released"


def test_too_few_labels_are_not_judged_and_nothing_moves(workspace: Workspace) -> None:
    before, version = made(workspace, DAY)
    decide(before, STUDENT)
    day, _ = made(workspace, DAY + timedelta(days=1), positives=4)
    decision = decide(day, STUDENT)
    assert [reason.split(": ")[0] for reason in decision.reasons] == [
        "normalized_entropy_on_impression_kept",
        "no_worse_than_champion_on_impression",
    ]
    assert decision.message == "Not judged: " + "; ".join(decision.reasons)
    assert (decision.outcome, decision.verdict.verdict) == ("not_judged", "not judged")
    assert (workspace.checkpoints.released(KEY) or {})["checkpoint"] == version
    last = workspace.checkpoints.release_history(KEY, last=1)[0]
    assert (last["outcome"], last["entry"]["reasons"]) == ("not_judged", decision.reasons)


def test_the_next_day_releases_yesterdays_checkpoint_and_a_rerun_decides_the_same(workspace: Workspace) -> None:
    monday, first = made(workspace, DAY)
    decision = decide(monday, NEXT_DAY)
    assert (decision.checkpoint, decision.outcome) == (first, "not_judged")
    assert decision.message == f"Not judged: the requests of the day after {DAY} decide about it"
    assert workspace.checkpoints.released(KEY) is None
    tuesday, _ = made(workspace, DAY + timedelta(days=1), when={"next_day": first})
    for _ in range(2):
        decision = decide(tuesday, NEXT_DAY)
        assert (decision.checkpoint, decision.outcome) == (first, "released")
        assert decision.message == f"Released, the checkpoint of {DAY}"
    released = workspace.checkpoints.released(KEY) or {}
    assert (released["day"], released["decided_on"]) == (str(DAY), str(tuesday.date))
    history = workspace.checkpoints.release_history(KEY)
    assert [each["outcome"] for each in history] == ["not_judged", "released"]
    # What serves on a day was released before it, on a rerun too.
    assert released_before(tuesday, NEXT_DAY) == DAY
    assert released_before(tuesday, STUDENT) == tuesday.date
    assert workspace.checkpoints.newest_release(KEY, released_before(tuesday, NEXT_DAY)) is None


def test_a_checkpoint_that_the_next_day_cannot_compare_is_not_released_on_anothers_comparison(
    workspace: Workspace,
) -> None:
    _, first = made(workspace, DAY)
    _, second = made(workspace, DAY + timedelta(days=1), when={"same_day": "", "next_day": first})
    # The third day's rows cannot be read by the second's student.
    wednesday, _ = made(workspace, DAY + timedelta(days=2))
    cascade = CASCADE.model_copy(update={"evaluation_days": 3})
    decision = decide(Day(workspace, cascade, wednesday.date), NEXT_DAY)
    assert (decision.checkpoint, decision.outcome) == (second, "not_judged")
    assert "no rows of IMP to compare on (next_day)" in decision.message
    assert workspace.checkpoints.released(KEY) is None


def test_the_next_day_judges_the_teacher_of_the_checkpoints_own_day(workspace: Workspace) -> None:
    monday, first = made(workspace, DAY)
    tuesday, _ = made(workspace, DAY + timedelta(days=1), when={"next_day": first})
    audited(monday, 1.5)
    audited(tuesday, 0.0)
    assert decide(tuesday, NEXT_DAY).message.startswith("Refused, the checkpoint of 2026-01-05: teacher_agrees_on")
    audited(monday, 0.0)
    audited(tuesday, 1.5)
    assert decide(tuesday, NEXT_DAY).outcome == "released"


def test_a_backfill_is_judged_and_does_not_move_the_pointer_back(workspace: Workspace) -> None:
    newer, _ = made(workspace, DAY)
    decide(newer, STUDENT)
    older, version = made(workspace, DAY - timedelta(days=1))
    decision = decide(older, STUDENT)
    assert (decision.checkpoint, decision.reasons) == (version, [])
    assert decision.message == f"passed; the checkpoint of {DAY}, which is newer, stays released"
    # The day that is released may be decided again.
    assert decide(newer, STUDENT).message == "Released"
    assert [each["outcome"] for each in workspace.checkpoints.release_history(KEY)] == ["released"]


def test_an_evaluation_of_another_checkpoint_is_stale() -> None:
    assert stale("a", "a", "evaluation") == []
    (reason,) = stale("a", "b", "evaluation")
    assert reason == "evaluation is of checkpoint b, the day's is a; materialize evaluation again"


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
    assert decide(day, STUDENT).message == "Released"
    assert (workspace.checkpoints.released(KEY) or {})["checkpoint"] == version
