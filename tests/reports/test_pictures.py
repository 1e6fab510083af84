"""Pictures hold what was measured, are the same text every time, and survive what data can be."""

import math
import re
from datetime import date
from xml.etree import ElementTree

import polars as pl
import pytest
from markupsafe import Markup

from tests.fixtures.evaluated import DAY, evaluation, groups, stages
from tests.fixtures.graph import shipped
from ukdsl_assets.reports.contents import StudentReport
from ukdsl_assets.reports.pictures import (
    MOST_GROUPS,
    deciles_of,
    largest_groups,
    overview,
    reliability,
    segment,
    stage_calibration,
    told_views,
    trend,
)

STUDENT = shipped("simulated_ads").student("pre_ranking_click")


def report(table: pl.DataFrame) -> StudentReport:
    return StudentReport(STUDENT, table, table, None, None, [], "undecided", [])


EVERY = {
    "overview": lambda: overview([report(evaluation()), report(evaluation())]),
    "stages": lambda: stage_calibration(stages()),
    "reliability": lambda: reliability(groups()),
    "segment": lambda: segment(groups("country", ("a", "b")), "country"),
    "trend": lambda: trend(evaluation((date(2026, 1, 1), DAY)), (0.85, 1.15)),
}


def elements(drawn: Markup | None, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(f"<all>{drawn}</all>").iter(tag))


@pytest.mark.parametrize("name", EVERY)
def test_a_picture_is_the_same_again_well_formed_and_says_what_it_shows(name: str) -> None:
    first = EVERY[name]()
    assert first == EVERY[name]()
    drawn = [each for each in elements(first, "svg") if each.get("role") == "img"]
    assert drawn
    assert all(each.get("aria-label") for each in drawn)
    assert "http" not in str(first)
    assert "nan" not in str(first)
    # Colours are the page's, light or dark.
    assert not re.search(r"#[0-9a-f]{6}|style=", str(first))


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_drawn_outside_of_the_picture(name: str) -> None:
    for drawn in elements(EVERY[name](), "svg"):
        _, _, width, height = map(float, drawn.attrib["viewBox"].split())
        for each in drawn.iter():
            for key, most in (("x1", width), ("x2", width), ("cx", width), ("y1", height), ("y2", height)):
                assert 0 <= float(each.get(key, 0)) <= most


def test_a_mark_tells_its_figure_its_error_and_its_rows() -> None:
    told = [each.text for each in elements(EVERY["overview"](), "title")]
    assert "pre_ranking_click, shown, baseline: calibration 1.200 ± 0.010, 100 rows" in told
    assert "pre_ranking_click, ranked: NE \u22122.00% ± 1.00%, 100 rows" in told


def test_the_right_level_has_a_line_where_right_predictions_are() -> None:
    svg = elements(segment(groups("country", ("a",), reference=0.01), "country"), "svg")[0]
    (right,) = (each for each in svg.iter("line") if each.get("class") == "right")
    assert {each.attrib["cx"] for each in svg.iter("circle")} == {right.attrib["x1"]}
    assert right.attrib["x1"] == right.attrib["x2"]


def test_what_is_told_first_is_each_kind_of_rows_once_by_the_teacher_before_the_truth() -> None:
    rows = [("IMP", "label"), ("CD", "teacher"), ("CD", "truth"), ("OWN", "truth"), ("SCORED", "truth")]
    rows += [("SCORED", "teacher")]
    table = pl.DataFrame(rows, schema=["domain", "reference"], orient="row")
    assert told_views(table) == [("IMP", "label"), ("CD", "teacher"), ("SCORED", "teacher"), ("OWN", "truth")]
    given = pl.DataFrame([*rows, ("PRODUCT", "label"), ("GIVEN", "teacher")], schema=table.schema, orient="row")
    assert told_views(given) == [("PRODUCT", "label"), ("GIVEN", "teacher")]


def test_there_is_no_first_picture_without_figures() -> None:
    assert overview([]) is None
    assert overview([report(evaluation().clear())]) is None


def test_users_texts_are_escaped() -> None:
    svg = str(segment(groups("country", ("<script>", "$x^2$", "a\nb", "日本")), "country"))
    assert "<script>" not in svg
    for text in ("&lt;script&gt;", "$x^2$", "a b", "日本"):
        assert text in svg


def test_only_the_largest_groups_of_a_segment_are_drawn() -> None:
    names = tuple(f"g{number:02}" for number in range(MOST_GROUPS + 3))
    assert largest_groups(groups("country", names)) == list(names[:MOST_GROUPS])
    svg = str(segment(groups("country", names), "country"))
    assert names[MOST_GROUPS - 1] in svg
    assert names[MOST_GROUPS] not in svg


def test_the_curve_on_ranked_rows_is_of_the_head_that_serves() -> None:
    assert deciles_of(groups(), "distilled", "CD", "teacher")["head"].unique().to_list() == ["consideration"]
    assert deciles_of(groups(), "distilled", "IMP", "label")["head"].unique().to_list() == ["impression"]
    one_head = groups().filter(head="impression")
    assert deciles_of(one_head, "distilled", "CD", "teacher")["mean_prediction"].to_list() == [0.01, 0.02, 0.03]


def test_deciles_without_a_positive_reference_are_left_out() -> None:
    assert len(deciles_of(groups(reference=0.0), "distilled", "IMP", "label")) == 0
    assert not elements(reliability(groups(reference=0.0)), "title")


def test_empty_and_undefined_figures_are_drawn_empty() -> None:
    undefined = evaluation().with_columns(ne_change=math.nan, calibration=math.nan)
    for drawn in (
        reliability(groups().clear()),
        segment(groups("country", ("a",), reference=0.0), "country"),
        stage_calibration(stages(None)),
        trend(undefined, (0.85, 1.15)),
        overview([report(undefined)]),
    ):
        assert elements(drawn, "svg")
        assert not elements(drawn, "title")


def test_days_without_errors_have_no_bars() -> None:
    def bars(error: float | None) -> int:
        drawn = trend(evaluation((date(2026, 1, 1), DAY), error), (0.9, 1.1))
        assert "01-01" in str(drawn)
        return sum((each.get("class") or "").startswith("bar ") for each in elements(drawn, "line"))

    assert (bars(None), bars(0.0)) == (0, 0)
    assert bars(0.01) == 8
