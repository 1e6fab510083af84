"""A run's result at a glance: which rows are told of, whole figures at any width, why and what next."""

import math
import re
from datetime import date
from typing import Any

import polars as pl
import pytest

from tests.fixtures.graph import shipped
from ukdsl_assets.learning.evaluation.champion_table import COLUMNS as CHAMPION_COLUMNS
from ukdsl_assets.reports.decisions import DayDecision
from ukdsl_assets.reports.glance import (
    Glance,
    View,
    day_lines,
    first_clauses,
    glance_of,
    legend_lines,
    student_lines,
    views_of,
    why_and_next,
)

DAY = date(2026, 1, 3)
CASCADE = shipped("simulated_ads")
TOO_FEW = (
    "no_worse_than_champion_on_impression: not judged: NE on IMP against the label: -0.576% (-2.232% to +1.080%) of "
    "the champion's (nothing is released: the baseline of 2026-01-03), withheld requests of the same day, 1 day(s): "
    "113 requests, 678 rows, 16 positive; expected an upper end of at most +0.300% (release.margin); too few rows for "
    "this margin: about 84 days of them in place of 1 would do"
)
OFF = (
    "calibrated_on_consideration: calibration 1.070 +- 0.004 against the teacher; expected 0.95 to 1.05 "
    "(gates.student_calibration)"
)


def evaluation(*views: tuple[str, str], heads: tuple[str, ...] = ("impression", "consideration")) -> pl.DataFrame:
    """Every arm and head on these domains and references; calibration counts up, so that each row is another."""
    rows: list[dict[str, Any]] = []
    for domain, reference in views:
        for arm, head in [("baseline", "impression"), *(("distilled", each) for each in heads)]:
            where = {"arm": arm, "head": head, "domain": domain, "reference": reference}
            figures = {"calibration": 1 + len(rows) / 100, "calibration_error": 0.01, "ne_change": -0.02}
            rows.append({**where, "rows": 1000 + len(rows), **figures, "ne_change_error": 0.002})
    return pl.DataFrame(rows)


def told(table: pl.DataFrame, serving: str) -> list[tuple[str, str, float, float]]:
    return [(view.domain, view.reference, view.before, view.after) for view in views_of(table, serving)]


def calibration(table: pl.DataFrame, arm: str, head: str, domain: str) -> float:
    return float(table.filter(arm=arm, head=head, domain=domain)["calibration"][0])


def test_all_that_the_stage_scores_comes_first_by_the_head_that_serves_and_shown_rows_by_that_of_labels() -> None:
    heads = ("impression", "consideration", "scored")
    table = evaluation(("IMP", "label"), ("CD", "teacher"), ("SCORED", "teacher"), ("OWN", "teacher"), heads=heads)
    (first, by, before, after), (second, label, _, shown) = told(table, "scored")
    assert (first, by, second, label) == ("SCORED", "teacher", "IMP", "label")
    assert before == calibration(table, "baseline", "impression", "SCORED")
    assert after == calibration(table, "distilled", "scored", "SCORED")
    assert shown == calibration(table, "distilled", "impression", "IMP")


def test_without_a_teacher_on_all_of_it_it_is_the_next_stages_rows_and_the_truth_where_that_is_known() -> None:
    table = evaluation(("IMP", "label"), ("CD", "teacher"), ("SCORED", "truth"))
    assert [each[:2] for each in told(table, "consideration")] == [
        ("CD", "teacher"),
        ("SCORED", "truth"),
        ("IMP", "label"),
    ]
    # A head on the level of all that was scored is not what rows that went on are judged by.
    considered = evaluation(("CD", "teacher"), heads=("impression", "consideration", "scored"))
    assert told(considered, "scored")[0][3] == calibration(considered, "distilled", "consideration", "CD")


def test_a_task_given_another_is_told_by_its_use() -> None:
    table = evaluation(("IMP", "label"), ("CD", "teacher"), ("GIVEN", "teacher"), ("PRODUCT", "label"))
    assert [each[:2] for each in told(table, "consideration")] == [("GIVEN", "teacher"), ("PRODUCT", "label")]


def champion(*requests: tuple[int, str, int]) -> pl.DataFrame:
    rows = [
        {"when": when, "domain": domain, "requests": count + more, "day": date(2026, 1, day)}
        for day, when, count in requests
        for domain, more in (("IMP", -10), ("SCORED", 0))
    ]
    types = {name: CHAMPION_COLUMNS[name] for name in ("when", "domain", "requests")}
    return pl.DataFrame(rows, schema_overrides={**types, "day": pl.Date})


def test_the_withheld_requests_of_the_days_that_judged_are_counted_once() -> None:
    decision = DayDecision("pre_ranking_click", DAY, "released", [], [])
    compared = champion((1, "same_day", 1000), (2, "same_day", 200), (3, "same_day", 30), (3, "next_day", 5000))
    table = evaluation(("IMP", "label"), ("CD", "teacher"))
    assert glance_of(decision, table, "consideration", 2, compared).requests == 230
    assert glance_of(decision, table, "consideration", 2, None).requests is None


VIEWS = [
    View("SCORED", "teacher", 1_141_408, 12.8, 0.998, 0.0041, -0.1234, 0.0121),
    View("IMP", "label", 11_784, 0.989, 0.986, 0.03, -0.0101, 0.002),
    View("IMP", "label", 3, math.nan, math.nan, math.nan, math.nan, math.nan),
]


def glances() -> list[Glance]:
    checkpoint = ("769eb42af2d4e203", "2026-01-02")
    return [
        Glance(DayDecision("retrieval_click", DAY, "not_judged", [TOO_FEW, OFF], []), VIEWS, 3, 1234),
        Glance(DayDecision("pre_ranking_click", DAY, "refused", [OFF], [], *checkpoint), VIEWS, 1, None),
        Glance(DayDecision("pre_ranking_conversion", DAY, "released", [], [OFF]), VIEWS, 3, 1234),
        Glance(DayDecision("of_a_backfill", DAY, "newer", [], []), [], 3, 1234),
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal_and_no_figure_is_broken(width: int) -> None:
    lines = [line.text for line in student_lines(CASCADE, glances(), width)] + legend_lines(glances(), width)
    # A gate's name is one word, which nothing shortens.
    gates = [line for line in lines if "no_worse_than_champion_on_impression" in line]
    assert max(len(line) for line in lines if line not in gates) <= width
    told = re.sub(r"\s+", " ", " ".join(lines))
    for figure in ("12.8 -> 0.998 +- .004", "-12.3 +- 1.2%", "1,141,408", "not measured"):
        assert figure in told
    assert "…" not in told


def test_at_eighty_columns_every_row_is_one_line_below_its_header() -> None:
    lines = student_lines(CASCADE, glances(), 80)
    header, below, first, *_ = (line.text for line in lines)
    assert first == "retrieval_click: Not judged (by 1,234 withheld requests of 3 days)"
    (row,) = {line.text for line in lines if "12.8 -> 0.998" in line.text}
    for title, cell in (("calibration", "12.8"), ("NE against", "-12.3"), ("by", "teacher"), ("judged on", "all it")):
        assert header.index(title) == row.index(cell)
    assert below.index("baseline -> student") == row.index("12.8")
    styles = {line.text.partition(":")[0]: line.style for line in lines if "(by " in line.text}
    assert styles == {
        "retrieval_click": "yellow",
        "pre_ranking_click": "bold red",
        "pre_ranking_conversion": "green",
        "of_a_backfill": "green",
    }
    assert "pre_ranking_click: Refused, the student of 2026-01-02 (by 1 day)" in {line.text for line in lines}


def test_what_was_refused_says_why_and_what_lets_it_pass() -> None:
    lines = why_and_next(CASCADE, DayDecision("pre_ranking_click", DAY, "refused", [OFF], []), 80)
    assert lines[0] == "  why: calibrated_on_consideration: calibration 1.070 +- 0.004 against the"
    assert "expected 0.95 to 1.05" in " ".join(lines)
    assert "`accept: [calibrated_on_consideration]`" in " ".join(" ".join(lines).split())


def test_what_was_not_judged_says_how_much_more_would_do() -> None:
    words = " ".join(" ".join(why_and_next(CASCADE, glances()[0].decision, 80)).split())
    assert words == (
        "why: no_worse_than_champion_on_impression: too few rows for this margin: about 84 days of them in place of 1 "
        "would do (and 1 more reason, by --details) next: let more requests judge: run more days, and raise "
        "evaluation_days or withheld_share"
    )


def test_what_the_next_day_decides_names_the_command() -> None:
    reason = f"the requests of the day after {DAY} decide about it"
    decision = DayDecision("pre_ranking_click", DAY, "not_judged", [reason], [], "v", str(DAY))
    assert why_and_next(CASCADE, decision, 80)[-1] == "  next: ukdsl run simulated_ads --days 2026-01-04"


def test_the_fix_that_a_reason_names_is_the_next_step() -> None:
    few = "kept: not judged: 3 positive labels of 10 needed; judge by more requests: raise withheld_share"
    assert "  next: judge by more requests: raise withheld_share" in why_and_next(
        CASCADE, DayDecision("pre_ranking_click", DAY, "not_judged", [few], []), 80
    )


def test_what_is_accepted_is_named_and_a_plain_release_says_no_more() -> None:
    assert why_and_next(CASCADE, glances()[2].decision, 80) == ["  accepted by name: calibrated_on_consideration"]
    assert why_and_next(CASCADE, DayDecision("pre_ranking_click", DAY, "released", [], []), 80) == []


def test_a_withdrawn_day_names_the_command_that_gives_it_back() -> None:
    withdrawn = DayDecision("pre_ranking_click", DAY, "withdrawn", ["clicks fell"], [])
    told = " ".join(" ".join(why_and_next(CASCADE, withdrawn, 80)).split())
    expected = f"next: ukdsl release simulated_ads pre_ranking_click --to {DAY} lets it serve again"
    assert told == f"why: clicks fell {expected}"


@pytest.mark.parametrize("most", [1, 40, 80, 120, 400])
def test_reasons_are_cut_at_clauses_and_leave_no_bracket_open(most: int) -> None:
    plain = TOO_FEW.rpartition("; ")[0]
    cut = first_clauses(plain, most)
    assert plain.replace(": not judged", "").startswith(cut)
    assert cut.count("(") == cut.count(")")
    assert cut[-1] not in ";,: "
    # A figure stands beside what it is of, however little was asked for.
    assert len(cut) <= max(most, len(plain.partition(", withheld")[0]))
    assert "-0.576%" in cut


def test_a_day_is_a_line() -> None:
    earlier = DayDecision("retrieval_click", date(2026, 1, 2), "released", [], [])
    assert day_lines([earlier, *(glance.decision for glance in glances())]) == [
        "2026-01-02: 1 released",
        "2026-01-03: 1 released, 1 refused, 1 not judged, 1 passed",
    ]
