"""Who may take the champion's place: the gates on the table champion_comparison."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.release import Release
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation.champion import Paired
from ukdsl_assets.learning.evaluation.champion_gates import ON_IMPRESSION, ON_SCORED, judge_champion
from ukdsl_assets.learning.evaluation.champion_table import Pairing, comparison_rows
from ukdsl_assets.learning.evaluation.gates import not_judged, refusals

DAY = date(2026, 1, 9)
STRICT = STUDENT.model_copy(update={"release": Release()})


def sums(change: float = -0.01, error: float = 0.001, requests: int = 2000, positives: int = 480) -> Paired:
    """Requests of equal entropy 1 under the champion, whose change has the given error."""
    variance = error**2 * requests * (requests - 1) / requests
    squares = requests * (change**2 + variance)
    return Paired(
        requests, 6 * requests, positives, float(requests), change * requests, requests, squares, change * requests
    )


def table(
    impression: Paired | None = None, scored: Paired | None = None, day: date = DAY, domain: str = "CD", **names: Any
) -> pl.DataFrame:
    who: dict[str, Any] = {"when": "same_day", "teacher": STUDENT.teacher, "challenger": "new", "challenger_day": day}
    who |= {"champion": "old", "champion_day": day - timedelta(days=1), "champion_arm": "released", **names}
    by_domain = {"IMP": impression or sums(), domain: scored or sums()}
    return comparison_rows(Pairing(**who), by_domain).with_columns(day=pl.lit(day))


def judged(cascade: Cascade, student: Student, comparison: pl.DataFrame) -> list[GateResult]:
    return judge_champion(cascade, student, comparison, DAY)


def test_the_sums_of_these_tests_are_what_they_say() -> None:
    (row,) = table(sums(0.025, 0.003)).filter(domain="IMP").iter_rows(named=True)
    assert (row["ne_change"], row["ne_change_error"]) == pytest.approx((0.025, 0.003))
    assert row["high"] == pytest.approx(0.025 + 1.96 * 0.003)


@pytest.mark.parametrize("domain", ["CD", "SCORED"])
def test_a_better_student_is_released(domain: str) -> None:
    assert [each.verdict for each in judged(CASCADE, STRICT, table(domain=domain))] == ["passed", "passed"]


@pytest.mark.parametrize(("change", "error"), [(0.025, 0.003), (0.04, 0.015)])
@pytest.mark.parametrize("on", [ON_IMPRESSION, ON_SCORED])
def test_a_student_that_loses_is_refused(change: float, error: float, on: str) -> None:
    bad = sums(change, error)
    made = table(impression=bad) if on == ON_IMPRESSION else table(scored=bad)
    results = judged(CASCADE, STRICT, made)
    (reason,) = refusals(results)
    assert reason.startswith(f"{on}: NE on ")
    assert f"{change:+.3%}" in reason
    assert not_judged(results) == []


def test_a_student_of_eight_requests_is_not_judged_and_told_how_many_days_would_do() -> None:
    few = table(sums(-0.3, 0.01, requests=8, positives=12), sums(-0.3, 0.01, requests=8, positives=48))
    results = judged(CASCADE, STRICT, few)
    assert refusals(results) == []
    assert [each.split(":")[0] for each in not_judged(results)] == [ON_IMPRESSION, ON_SCORED]
    assert "8 requests of 30 needed: about 4 days in place of 1 would do" in results[0].message
    assert {each.verdict for each in results} == {"not judged"}


def test_a_student_without_positive_labels_is_not_judged_on_impressions() -> None:
    verdict = judged(CASCADE, STRICT, table(sums(positives=0)))[0]
    assert (verdict.verdict, verdict.blocks) == ("not judged", True)
    assert "0 positive labels of 10 needed; see whether events arrive" in verdict.message


def test_an_interval_narrows_with_days_of_the_same_champions_arm_and_teacher() -> None:
    unsure = sums(-0.001, 0.0035)
    (alone, _) = judged(CASCADE, STRICT, table(unsure))
    assert alone.verdict == "not judged"
    before = [table(unsure, day=DAY - timedelta(days=back)) for back in range(1, 7)]
    (week, _) = judged(CASCADE, STRICT, pl.concat([*before, table(unsure)]))
    assert week.verdict == "passed"
    assert week.seen["days"] == 7
    assert week.seen["standard_error"] == pytest.approx(0.0035 / 7**0.5, rel=1e-3)
    unlike: tuple[dict[str, Any], ...] = ({"champion_arm": "baseline"}, {"teacher": "former"}, {"when": "next_day"})
    for other in unlike:
        others = [table(unsure, day=DAY - timedelta(days=back), **other) for back in range(1, 7)]
        assert judged(CASCADE, STRICT, pl.concat([*others, table(unsure)]))[0].verdict == "not judged"


def test_good_days_before_do_not_hide_a_bad_one() -> None:
    before = [table(sums(-0.03), day=DAY - timedelta(days=back)) for back in range(1, 7)]
    verdict = judged(CASCADE, STRICT, pl.concat([*before, table(sums(0.025, 0.003))]))[0]
    assert verdict.seen["ne_change"] < -0.01
    assert (verdict.verdict, verdict.blocks) == ("failed", True)
    assert "the newest day alone says +2.500%" in verdict.message


def test_the_declared_comparison_decides() -> None:
    both = pl.concat([table(sums(0.025, 0.003)), table(when="next_day")])
    next_day = STRICT.model_copy(update={"release": Release(decided_by="next_day")})
    assert refusals(judged(CASCADE, STRICT, both)) != []
    assert refusals(judged(CASCADE, next_day, both)) == []
    first = judged(CASCADE, next_day, table())
    assert [each.verdict for each in first] == ["not judged", "not judged"]
    assert "compared on the requests of the day after it" in first[0].message


def test_a_day_without_the_declared_comparison_is_not_judged_by_that_of_a_day_before() -> None:
    before = [table(when=when, day=DAY - timedelta(days=1)) for when in ("same_day", "next_day")]
    next_day = STRICT.model_copy(update={"release": Release(decided_by="next_day")})
    results = judged(CASCADE, next_day, pl.concat([*before, table()]))
    assert [each.verdict for each in results] == ["not judged", "not judged"]
    assert "no rows of IMP to compare on (next_day)" in results[0].message
    # Nor where the day's table is empty.
    assert len(not_judged(judged(CASCADE, STRICT, pl.concat(before)))) == 2


def test_rejected_rows_decide_where_there_are_some() -> None:
    made = pl.concat([table(scored=sums(-0.05)), table(scored=sums(0.025, 0.003), domain="SCORED")])
    made = made.unique(["domain"], keep="first", maintain_order=True)
    (reason,) = refusals(judged(CASCADE, STRICT, made))
    assert "NE on SCORED against the teacher" in reason


def test_delayed_labels_and_a_foreign_teacher_only_tell() -> None:
    bad, late = sums(0.025, 0.003), CASCADE.student("pre_ranking_conversion")
    late = late.model_copy(update={"release": Release()})
    assert refusals(judged(CASCADE, late, table(bad))) == []
    assert len(refusals(judged(CASCADE, late, table(scored=bad)))) == 1
    surface = read_cascade(SHIPPED / "simulated_small_surface.yaml")
    beside = surface.student("click").model_copy(update={"release": Release()})
    assert refusals(judged(surface, beside, table(scored=bad))) == []
    assert len(refusals(judged(surface, beside, table(bad)))) == 1


def test_a_bad_day_refuses_where_the_days_together_are_not_judged() -> None:
    before = [table(sums(-0.01, 0.02), day=DAY - timedelta(days=back)) for back in range(1, 7)]
    verdict = judged(CASCADE, STRICT, pl.concat([*before, table(sums(0.025, 0.003))]))[0]
    assert verdict.seen["ne_change"] < 0 < verdict.seen["high"] - 0.003
    assert (verdict.verdict, verdict.blocks) == ("failed", True)
