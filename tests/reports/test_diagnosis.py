"""A diagnosis in words: 80 columns, verdicts that follow the figures, and a page that needs nothing else."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from tests.reports.test_html import Elements
from ukdsl_assets.declaration.columns import CD, EXPLORED, IMP, SCORED
from ukdsl_assets.learning.evaluation.diagnosis import Gain
from ukdsl_assets.pipeline.diagnosis import Comparison, Diagnosis, Group
from ukdsl_assets.reports.diagnosis import COLUMNS, over_prediction, printed_diagnosis, verdicts, worst_segments
from ukdsl_assets.reports.diagnosis_page import render_diagnosis

DAY = date(2026, 3, 1)
SOFT = Gain(0.95, 0.90, 0.94, 0.938, 0.937, 0.936, 0.001, 0.001, 0.001)
OF_EVENTS = Gain(0.95, float("nan"), 0.94, 0.938, 0.937, 0.936, 0.001, 0.001, 0.001)


def comparison(stage: str, task: str, domain: str, reference: str, ratio: float, error: float = 0.02) -> Comparison:
    return Comparison(
        stage,
        task,
        domain,
        reference,
        "ranking" if reference == "teacher" else task,
        rows=240_000,
        requests=9_000.0,
        positives=1_234.0,
        mean_prediction=0.02 * ratio,
        mean_reference=0.02,
        calibration=ratio,
        low=ratio - error,
        high=ratio + error,
        gain=SOFT if reference == "teacher" else OF_EVENTS,
    )


def group(by: str, value: str, ratio: float, stage: str = "early", reason: str = "") -> Group:
    ends = (ratio - 0.03, ratio + 0.03)
    return Group(stage, "click", CD, "teacher", by, value, 3_000, 0.02 * ratio, 0.02, ratio, *ends, reason)


def diagnosis(*comparisons: Comparison, groups: tuple[Group, ...] = (), **changes: object) -> Diagnosis:
    until = datetime(2026, 3, 2, 5, tzinfo=UTC)
    counts = {"early": 3_000_000, "ranking": 240_000}
    whole = Diagnosis("ads", "", (DAY,), ("source",), until, 3_000_000, 10_000, counts, list(comparisons), list(groups))
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_the_verdict_says_how_far_on_which_rows_and_by_whom() -> None:
    (told,) = verdicts(
        diagnosis(
            comparison("early", "click", CD, "teacher", 1.34), comparison("early", "click", IMP, "label", 1.01, 0.03)
        )
    )
    assert told.startswith(
        "early over-predicts click by 34% (32% to 36%) on what went on (240,000 rows, by ranking's predictions); "
        "cannot be told from right (+1.0%, -2.0% to +4.0%) on what was shown (240,000 rows, by 1,234 click events)."
    )
    # Of the 0.05 above the floor the level takes 0.01 and the bound 0.014.
    assert "the right level would take 20% and no recalibration that keeps the order more than 28%" in told
    assert "the other 72% need another order" in told


def test_all_that_was_scored_goes_before_what_went_on() -> None:
    wide, narrow = (
        comparison("early", "click", domain, "teacher", ratio) for domain, ratio in ((SCORED, 0.8), (CD, 1.3))
    )
    (told,) = verdicts(diagnosis(wide, narrow))
    assert "under-predicts click by 20% (18% to 22%) on all that it scored" in told
    assert "probes by 1 / their rate" in told
    (told,) = verdicts(diagnosis(replace(wide, not_judged="no probes"), narrow))
    assert "over-predicts click by 30% (28% to 32%) on what went on" in told


def test_a_last_stage_is_judged_by_events_and_one_without_them_not_at_all() -> None:
    (told,) = verdicts(diagnosis(comparison("ranking", "click", IMP, "label", 1.2)))
    assert "No stage after it predicts click" in told
    assert "change NE by -1.05 +- 0.10%" in told
    nothing = Comparison("ranking", "order", IMP, "label", "order", not_judged="12 positive labels, fewer than 20")
    lines = printed_diagnosis(diagnosis(nothing))
    assert "ranking: not judged for order; the end of this page says why." in lines
    assert any(line.startswith("Not judged: ranking: order, on what was shown: 12 positive") for line in lines)


def test_a_task_that_needs_another_says_of_whom_it_speaks() -> None:
    (told,) = verdicts(diagnosis(replace(comparison("ranking", "order", IMP, "label", 1.2), given=("click",))))
    assert "on what was shown and had click (" in told


def test_worst_segments_are_the_surest_to_be_off_and_few_rows_are_none() -> None:
    groups = (
        group("country", "right", 1.01),
        group("country", "high", 1.5),
        group("country", "low", 0.6),
        group("country", "small", 9.0, reason="3 requests, fewer than 30"),
        group("decile", "10", 3.0),
        replace(group("country", "elsewhere", 2.0), domain=EXPLORED),
    )
    done = diagnosis(comparison("early", "click", CD, "teacher", 1.34), groups=groups)
    assert [each.group for each in worst_segments(done)] == ["low", "high"]
    text = "\n".join(printed_diagnosis(done))
    assert "2 of 3 surely off, 1 too small" in text


@pytest.mark.parametrize("length", [1, 60])
def test_every_line_fits_80_columns(length: int) -> None:
    stage, value = "s" * length, "v[b]" * length
    groups = (*(group("decile", f"{n:02}", 50.0 + n, stage) for n in range(1, 11)), group(value, value, 1_000.0, stage))
    done = diagnosis(
        replace(comparison(stage, "click", CD, "teacher", 1234.5), against="r" * length, rows=10**9),
        comparison(stage, "click", IMP, "label", 0.001, 0.0005),
        replace(comparison(stage, "t" * length, IMP, "label", 1.0), not_judged="no " * 60),
        groups=groups,
        cascade="c" * length,
    )
    lines = printed_diagnosis(done)
    # Words longer than a line are broken, not wider.
    assert max(map(len, lines)) < COLUMNS
    assert len(lines) > 30


def test_the_page_is_well_formed_and_needs_no_network() -> None:
    deciles = tuple(group("decile", f"{n:02}", 0.8 + n / 20) for n in range(1, 11))
    done = diagnosis(
        comparison("early", "click", CD, "teacher", 1.34),
        comparison("early", "click", IMP, "label", 1.01),
        replace(comparison("ranking", "click", EXPLORED, "label", 1.0), not_judged="no row was shown by chance"),
        groups=(*deciles, group("country", "<script>alert(1)</script>", 1.6)),
    )
    text = render_diagnosis(done)
    page = Elements(text)
    assert page.open == []
    assert all(each.startswith("#") for each in page.loaded)
    assert "http" not in text
    assert "<script" not in text
    assert "early over-predicts click by 34%" in text
    assert "Not judged: ranking: click" in text
    assert text.count("<svg") == 2
    assert text == render_diagnosis(done)


def test_a_page_without_anything_judged_has_no_pictures_and_says_why() -> None:
    text = render_diagnosis(diagnosis(Comparison("early", "click", IMP, "label", "click", not_judged="3 requests")))
    assert "<svg" not in text
    assert "3 requests" in text


def test_over_prediction_has_a_sign_and_two_digits_or_so() -> None:
    told = [over_prediction(each) for each in (1.34, 1.012, 0.995, 1.0, 21.5, float("nan"))]
    assert told == ["+34%", "+1.2%", "-0.5%", "+0.0%", "+2,050%", "-"]
