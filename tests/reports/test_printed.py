"""Tables for people say what they show, and nothing that was not measured."""

import math
import re
from collections import Counter

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation.explored import explored_sums
from ukdsl_assets.learning.evaluation.table import COLUMNS, LATER_FIGURES
from ukdsl_assets.reports.gates import gate_table
from ukdsl_assets.reports.printed import (
    evaluation_markdown,
    evaluation_table,
    groups_markdown,
    headline,
    history_markdown,
    judging_rows,
    teacher_first,
    teacher_told,
    trends,
)

EVALUATION = pl.DataFrame(
    {
        "arm": ["baseline", "distilled"],
        "head": ["impression", "consideration"],
        "domain": ["CD", "CD"],
        "reference": ["teacher", "teacher"],
        "rows": [12_345, 12_345],
        "calibration": [1.27, 1.004],
        "calibration_error": [0.0301, 0.012],
        "ne": [0.96, 0.94],
        "ne_change": [0.0, -0.0198],
        "ne_change_error": [0.0, 0.0017],
        "auc": [0.7, 0.7123],
        "auc_error": [0.004, 0.0031],
    },
    schema_overrides={"rows": COLUMNS["rows"]},
)
HISTORY = [
    {
        "outcome": "refused",
        "decided_at": "t1",
        "entry": {"day": "2026-01-01", "checkpoint": "a", "reasons": ["x", "y"]},
    },
    {"outcome": "released", "decided_at": "t2", "entry": {"day": "2026-01-02", "checkpoint": "b"}},
]


def shown(renderable: object) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_baseline_is_not_compared_with_itself() -> None:
    lines = evaluation_markdown(EVALUATION, "simulated, seed 0").splitlines()
    assert lines[0] == "simulated, seed 0"
    assert lines[4] == "| baseline | impression | CD | teacher | 12,345 | 1.270 +- .030 | 0.9600 |  | 0.700 +- .004 |"
    figures = "1.004 +- .012 | 0.9400 | -1.98 +- .17% | 0.712 +- .003"
    assert lines[5] == f"| distilled | consideration | CD | teacher | 12,345 | {figures} |"


def test_a_figure_that_is_not_a_number_is_said_not_to_be_measured() -> None:
    nothing = EVALUATION.with_columns(pl.lit(math.nan).alias(name) for name in ("calibration", "ne_change"))
    line = evaluation_markdown(nothing, "").splitlines()[-1]
    assert "not measured" in line
    assert "nan" not in line


def test_the_terminals_table_has_the_same_figures() -> None:
    text = shown(evaluation_table("a [note] in brackets", EVALUATION))
    assert "a [note] in brackets" in text
    assert "-1.98 +- .17%" in text


def test_the_terminals_table_of_a_million_rows_fits_into_120_columns() -> None:
    many = EVALUATION.with_columns(rows=pl.lit(1_234_567), ne_change=pl.lit(-0.1234))
    lines = shown(evaluation_table("title", many)).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 120
    assert "-12.34 +- .17%" in lines[-2]


def test_the_history_is_newest_first_with_every_reason() -> None:
    lines = history_markdown(HISTORY).splitlines()
    assert lines[2].startswith("| 2026-01-02 | Released | b | no gate refused it")
    assert "x; y" in lines[3]


def test_what_was_not_judged_is_said_so() -> None:
    entry = {"day": "2026-01-02", "checkpoint": "b", "decided_on": "2026-01-03", "reasons": ["too few rows"]}
    unjudged = {"outcome": "not_judged", "decided_at": "t3", "entry": entry}
    assert "| 2026-01-02 | Not judged | b | too few rows |" in history_markdown([*HISTORY, unjudged])


def whole(*arms: str) -> pl.DataFrame:
    """An evaluation with considered rows and impressions; other arms than the two have the distilled one's figures."""
    shown = EVALUATION.with_columns(head=pl.lit("impression"), domain=pl.lit("IMP"), reference=pl.lit("label"))
    two = pl.concat([EVALUATION, shown])
    return pl.concat([two, *(two.filter(arm="distilled").with_columns(arm=pl.lit(arm)) for arm in arms)])


def test_the_headline_takes_considered_rows_from_the_serving_head() -> None:
    line = headline("consideration", whole())
    first, second = line.splitlines()
    assert first.startswith("Rows that the next stage scored: calibration 1.270 -> 1.004 against the teacher, NE -1.98")
    assert second == "Explored rows: not judged, evaluated before they were."


def test_the_headline_has_a_line_on_what_was_released_before_where_there_is_any() -> None:
    lines = headline("consideration", whole("released")).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("Progressive validation")
    assert "rows that the next stage scored: calibration 1.004 +- .012, NE -1.98 +- .17%" in lines[2]


def everywhere() -> pl.DataFrame:
    """An evaluation with every domain: on its own choice 1.55 -> 1.01 against the teacher, 1.49 -> 1.00 in truth."""
    base = whole().with_columns(pl.lit(None, dtype).alias(name) for name, dtype in LATER_FIGURES.items())
    base = base.with_columns(effective_rows=pl.lit(100.0))
    considered = base.filter(domain="CD")
    parts = [base]
    for domain, reference, calibrations in (
        ("SCORED", "teacher", (1.7, 1.1)),
        ("SCORED", "truth", (1.6, 1.09)),
        ("OWN", "teacher", (1.55, 1.01)),
        ("OWN", "truth", (1.49, 1.0)),
    ):
        nothing = math.nan if domain == "OWN" else pl.col("ne")
        part = considered.with_columns(domain=pl.lit(domain), reference=pl.lit(reference), ne=nothing)
        parts.append(part.with_columns(calibration=pl.Series(calibrations)))
    sums = explored_sums(np.full(412, 0.1), (np.arange(412) < 31).astype(float), np.full(412, 50.0), np.arange(412))
    explored = {"domain": "EXPLORED_TRAILING", "reference": "label", "rows": 412, "positives": 31, "days": 28}
    explored |= {
        "calibration": 1.55,
        "calibration_error": 0.15,
        "effective_rows": 412.0,
        "explored_sums": sums.tolist(),
    }
    parts.append(considered.with_columns(pl.lit(value).alias(name) for name, value in explored.items()))
    return pl.concat(parts, how="diagonal_relaxed")


def test_the_headline_takes_its_own_choice_where_there_is_one_then_all_that_was_scored() -> None:
    lines = headline("consideration", everywhere()).splitlines()
    own = "Own choice: calibration 1.550 -> 1.010 against the teacher (truth 1.490 -> 1.000), "
    assert lines[0].startswith(own + "NE -1.98 +- .17% on all that its stage scores. Impressions: NE")
    assert lines[1].startswith(
        "Explored rows: calibration 1.55 (1.28 to 1.87) on 412 rows (412 effective) of 28 day(s), 31 pos"
    )
    assert lines[1].endswith("against labels.")
    without = everywhere().filter(pl.col("domain") != "OWN")
    scored = (
        "All that its stage scores: calibration 1.700 -> 1.100 against the teacher (truth 1.600 -> 1.090), NE -1.98"
    )
    assert headline("consideration", without).startswith(scored)
    known = everywhere().filter((pl.col("reference") != "teacher") | (pl.col("domain") == "CD"))
    told = (
        "Own choice: calibration 1.490 -> 1.000 against the truth, NE -1.98 +- .17% on rows that the next stage scored."
    )
    assert headline("consideration", known).startswith(told)


def test_explored_rows_say_why_they_are_not_judged() -> None:
    few = everywhere().with_columns(
        explored_sums=pl.when(domain="EXPLORED_TRAILING").then(pl.lit([1.0] * 9, pl.List(pl.Float64)))
    )
    line = headline("consideration", few).splitlines()[1]
    assert line.endswith("; not judged, 1 effective requests of 100 needed, 1 effective positive labels of 20 needed.")
    none = everywhere().filter(pl.col("domain") != "EXPLORED_TRAILING")
    assert "Explored rows: not judged, no withheld explored row with a label." in headline("consideration", none)


def test_the_terminal_shows_each_domain_by_the_head_that_it_judges_in_eighty_columns() -> None:
    both = pl.concat([everywhere(), everywhere().with_columns(head=pl.lit("impression")).filter(arm="distilled")])
    shown = judging_rows(both, "consideration")
    assert set(shown.filter(arm="distilled", domain="OWN")["head"]) == {"consideration"}
    assert set(shown.filter(domain="IMP")["head"]) == {"impression"}
    text = narrow(evaluation_table("title", shown, 80), 80)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "EXPLORED" in text
    assert "TRAILING" not in text
    assert "nan" not in text


def test_trends_are_of_the_distilled_arm_and_finite() -> None:
    undefined = pl.when(domain="IMP").then(math.nan).otherwise("ne_change")
    assert trends("consideration", whole("released").with_columns(ne_change=undefined)) == {
        "cd_calibration": 1.004,
        "cd_ne": 0.94,
        "cd_ne_change": -0.0198,
        "imp_calibration": 1.004,
        "imp_ne": 0.94,
    }


def test_groups_are_shown_of_the_distilled_arm_alone() -> None:
    row = {"arm": "distilled", "head": "impression", "domain": "IMP", "reference": "label", "by": "country"}
    figures = {"mean_prediction": 0.05, "mean_reference": 0.04, "calibration": 1.25, "calibration_error": 0.1}
    table = pl.DataFrame(
        [{**row, "arm": arm, "group": "a|b", "rows": 1200, **figures} for arm in ("baseline", row["arm"])]
    )
    lines = groups_markdown(table, "consideration").splitlines()
    assert lines[2:] == ["| IMP, label | country | a\\|b | 1,200 | 0.0500 | 0.0400 | 1.250 +- .100 |"]


def test_a_failed_gate_shows_its_severity_and_what_was_seen() -> None:
    results = [GateResult("good", True, "fine"), GateResult("bad", False, "seen [1, 2]", "WARN")]
    text = shown(gate_table("gates", results))
    assert "passed" in text
    assert "WARN" in text
    assert "seen [1, 2]" in text


def narrow(renderable: object, width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize("width", [40, 60, 80, 90, 100, 120])
def test_no_figure_is_cut_off_on_a_narrow_terminal(width: int) -> None:
    released = EVALUATION.with_columns(arm=pl.lit("released"), calibration=pl.lit(12.3456), ne_change=pl.lit(3.21))
    text = narrow(evaluation_table("title", pl.concat([EVALUATION, released]), width), width)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    if width >= 80:
        assert {"1.004 +- .012", "12.346 +- .030", "-1.98 +- .17%", "+321.00 +- .17%"} <= set(
            re.findall(r"[-+\d.]+ \+- \.\d+%?", text)
        )
    else:
        # Broken, but all there.
        digits = Counter(filter(str.isdigit, text.partition("Not shown")[0]))
        of_eighty = narrow(evaluation_table("title", pl.concat([EVALUATION, released]), 80), 80)
        assert digits == Counter(filter(str.isdigit, of_eighty.partition("Not shown")[0]))


def test_eighty_characters_show_whole_figures_and_say_what_is_left_out() -> None:
    lines = narrow(evaluation_table("title", EVALUATION, 80), 80).splitlines()
    assert any("1.004 +- .012" in line and "-1.98 +- .17%" in line for line in lines)
    assert lines[-1].strip() == "Not shown on 80 characters: NE, AUC, rows; the report has all."
    assert "Not shown" not in narrow(evaluation_table("title", EVALUATION, 120), 120)


def test_a_gates_name_is_whole_on_a_narrow_terminal() -> None:
    results = [GateResult("a_gate_of_a_long_name_that_fills_a_line", False, "file /a/b/" + "c" * 90)]
    text = narrow(gate_table("title", results), 50)
    assert "…" not in text


def test_what_a_decision_accepted_by_name_is_told_with_it() -> None:
    entry = {"day": "2026-01-03", "checkpoint": "c", "accepted": ["a_gate: far off"]}
    history = [{"outcome": "released", "decided_at": "t", "entry": entry}]
    assert "| accepted by name: a_gate: far off |" in history_markdown(history)
    history[0]["entry"] = entry | {"reasons": ["x"]}
    assert "| x; accepted by name: a_gate: far off |" in history_markdown(history)


def test_a_wrong_teacher_is_told_in_one_sentence_and_a_right_or_unjudged_one_not_at_all() -> None:
    off = GateResult("teacher_agrees_on_exploration", False, "calibration 2", seen={"judged": True})
    constant = GateResult("teacher_better_than_constant", False, "NE 1", seen={"judged": True})
    unjudged = GateResult("teacher_agrees_on_exploration", True, "not judged", "WARN", {"judged": False})
    right = GateResult("teacher_better_than_constant", True, "NE .9", seen={"judged": True})
    assert teacher_first([off, right]) == (
        "The teacher is off where chance showed it, so what agrees with it is not released: calibration 2."
    )
    assert teacher_first([off, constant], ["teacher_agrees_on_exploration"]) == (
        "The teacher is off where chance showed it and knows no more than the mean label, so what agrees with it is "
        "not released: calibration 2; NE 1."
    )
    assert "which is accepted, or only told: calibration 2." in teacher_first([off], [off.name])
    assert teacher_first([unjudged, right]) == teacher_first([]) == ""
    assert teacher_told([unjudged, right]) == "Its teacher, where chance showed rows: not judged."
    assert teacher_told([off, right]) == teacher_told([right]) == ""
