"""What is said of a selection, in the report and in the UI."""

import polars as pl

from tests.fixtures.selected_features import DAYS, STUDENT, comparison, selected, union
from ukdsl_assets.reports.selection_section import (
    comparison_markdown,
    comparison_rows,
    selection_sentences,
    selection_shown,
)

MINUS, SPACE = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


def test_sentences_tell_the_choice_the_budget_and_what_one_ranking_alone_sees() -> None:
    told = selection_sentences(STUDENT, union(DAYS[2]))
    assert told[0] == (
        "Rule average importance chose 3 of 4 candidates, at a cost of 3; allowed are 3 features. The student is "
        "trained with them from the next day on."
    )
    assert told[1] == "In the order of choice: a, b, d."
    assert told[2:] == ["Among the first on shown rows alone: c.", "Among the first on considered rows alone: d."]
    only = STUDENT.model_copy(update={"features": "all"})
    assert selection_sentences(only, union(DAYS[2]))[0].endswith("It only tells.")


def test_table_2_has_a_row_for_each_rule_and_size_and_a_column_for_each_label() -> None:
    assert comparison_rows(comparison()) == [
        ("impression", ["3", "3", "0", "0"], False),
        ("average importance", ["3", "3", *[f"{MINUS}1.23{SPACE}±{SPACE}0.10%"] * 2], True),
        ("union, as many as the rule finds", ["5", "3", *[f"+2.00{SPACE}±{SPACE}0.10%"] * 2], True),
    ]
    text = comparison_markdown(comparison(), "simulated")
    assert text.splitlines()[0] == "simulated"
    assert "| rule | features | cost | NE, shown, labels | NE, ranked, teacher |" in text
    assert "| **average importance** |" in text


def test_the_section_is_of_the_last_day_and_leaves_out_what_is_not_there() -> None:
    shown = selection_shown(STUDENT, selected())
    assert shown["candidates"] == 4
    assert shown["days"] == 3
    assert shown["rows"] == {"IMP": "1,200", "CD": "1,200"}
    assert shown["views"] == ["shown, labels", "ranked, teacher"]
    assert "svg" in shown["stability"]
    report = selected()
    first = selection_shown(
        STUDENT, report.__class__(report.importance, report.unions.filter(pl.col("day") == DAYS[0]), None)
    )
    assert first["stability"] is None
    assert first["comparison"] is None
