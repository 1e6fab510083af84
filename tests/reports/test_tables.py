"""Tables for people say what they show, and nothing that was not measured."""

import polars as pl
from rich.console import Console

from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation import COLUMNS
from ukdsl_assets.reports.tables import (
    decision_on,
    evaluation_markdown,
    evaluation_table,
    gate_table,
    headline,
    history_markdown,
)

EVALUATION = pl.DataFrame(
    {
        "arm": ["baseline", "distilled"],
        "head": ["impression", "consideration"],
        "domain": ["CD", "CD"],
        "reference": ["teacher", "teacher"],
        "rows": [12_345, 12_345],
        "calibration": [1.27, 1.004],
        "ne": [0.96, 0.94],
        "ne_change": [0.0, -0.0198],
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
    assert lines[4] == "| baseline | impression | CD | teacher | 12,345 | 1.270 | 0.9600 |  |"
    assert lines[5] == "| distilled | consideration | CD | teacher | 12,345 | 1.004 | 0.9400 | -1.98% |"


def test_the_terminals_table_has_the_same_figures() -> None:
    text = shown(evaluation_table("a [note] in brackets", EVALUATION))
    assert "a [note] in brackets" in text
    assert "-1.98%" in text


def test_the_history_is_newest_first_with_every_reason() -> None:
    lines = history_markdown(HISTORY).splitlines()
    assert lines[2].startswith("| 2026-01-02 | released | b | all gates passed")
    assert "x; y" in lines[3]


def test_the_decision_on_a_day_is_one_line() -> None:
    assert decision_on("2026-01-02", HISTORY) == "Released: checkpoint b of 2026-01-02, all gates passed"
    assert decision_on("2026-01-01", HISTORY) == "Refused: checkpoint a of 2026-01-01, x; y"
    assert "newer day is released" in decision_on("2025-12-31", HISTORY)


def test_the_headline_takes_considered_rows_from_the_serving_head() -> None:
    shown = EVALUATION.with_columns(head=pl.lit("impression"), domain=pl.lit("IMP"), reference=pl.lit("label"))
    line = headline("consideration", pl.concat([EVALUATION, shown]))
    assert "calibration 1.270 -> 1.004 against the teacher, NE -1.98%" in line


def test_a_failed_gate_shows_its_severity_and_what_was_seen() -> None:
    results = [GateResult("good", True, "fine"), GateResult("bad", False, "seen [1, 2]", "WARN")]
    text = shown(gate_table("gates", results))
    assert "passed" in text
    assert "WARN" in text
    assert "seen [1, 2]" in text
