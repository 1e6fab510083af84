"""Figures hold what was measured, are the same bytes every time, and survive what data can be."""

import math
from datetime import date
from xml.etree import ElementTree

import pytest

from tests.fixtures.evaluated import DAY, FUNNEL, evaluation, groups, stages
from ukdsl_assets.reports.plots import (
    MOST_GROUPS,
    deciles_of,
    funnel_svg,
    largest_groups,
    overview_png,
    reliability_svg,
    segment_svg,
    stage_calibration_svg,
    trends_svg,
)

EVERY = [
    lambda: funnel_svg(FUNNEL, 1000),
    lambda: stage_calibration_svg(stages()),
    lambda: reliability_svg(groups()),
    lambda: segment_svg(groups("country", ("a", "b")), "country"),
    lambda: trends_svg(evaluation((date(2026, 1, 1), DAY)), (0.85, 1.15)),
]


@pytest.mark.parametrize("draw", EVERY)
def test_a_figure_is_the_same_bytes_again_and_well_formed_without_network_or_date(draw) -> None:  # type: ignore[no-untyped-def]
    first = draw()
    assert first == draw()
    # HTML declares the prefix itself.
    ElementTree.fromstring(first.replace("<svg ", '<svg xmlns:xlink="x" ', 1))
    assert "http" not in first
    assert "<metadata" not in first
    assert "<?xml" not in first


def test_ids_that_figures_define_mean_the_same_in_every_figure() -> None:
    seen: dict[str, str] = {}
    for draw in EVERY:
        for element in ElementTree.fromstring(draw().replace("<svg ", '<svg xmlns:xlink="x" ', 1)).iter():
            if "id" in element.attrib:
                drawn = ElementTree.tostring(element, encoding="unicode")
                assert seen.setdefault(element.attrib["id"], drawn) == drawn


def test_the_funnel_tells_counts_shares_and_candidates_a_request() -> None:
    svg = funnel_svg(FUNNEL, 1000)
    for text in ("300,000, 300 a request", "6,000, 2.0% of the line above", "0, 0.0% of the line above"):
        assert text in svg


def test_users_texts_are_escaped_and_no_mathematics() -> None:
    svg = segment_svg(groups("country", ("<script>", "$x^2$", "a\nb", "日本")), "country")
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    for text in ("$x^2$", "a b", "日本"):
        assert text in svg


def test_only_the_largest_groups_of_a_segment_are_drawn() -> None:
    names = tuple(f"g{number:02}" for number in range(MOST_GROUPS + 3))
    assert largest_groups(groups("country", names)) == list(names[:MOST_GROUPS])
    svg = segment_svg(groups("country", names), "country")
    assert names[MOST_GROUPS - 1] in svg
    assert names[MOST_GROUPS] not in svg


def test_the_curve_on_considered_rows_is_of_the_head_that_serves() -> None:
    assert deciles_of(groups(), "distilled", "CD", "teacher")["head"].unique().to_list() == ["consideration"]
    assert deciles_of(groups(), "distilled", "IMP", "label")["head"].unique().to_list() == ["impression"]
    one_head = groups().filter(head="impression")
    assert deciles_of(one_head, "distilled", "CD", "teacher")["mean_prediction"].to_list() == [0.01, 0.02, 0.03]


def test_deciles_without_a_positive_reference_are_left_out() -> None:
    assert len(deciles_of(groups(reference=0.0), "distilled", "IMP", "label")) == 0
    assert "<svg" in reliability_svg(groups(reference=0.0))


def test_empty_and_undefined_figures_are_drawn_empty() -> None:
    assert "<svg" in reliability_svg(groups().clear())
    assert "<svg" in segment_svg(groups("country", ("a",), reference=0.0), "country")
    assert "<svg" in stage_calibration_svg(stages(None))
    undefined = evaluation().with_columns(ne_change=math.nan, calibration=math.nan)
    assert "<svg" in trends_svg(undefined, (0.85, 1.15))


def test_days_without_errors_have_no_bars() -> None:
    days = (date(2026, 1, 1), DAY)
    without = trends_svg(evaluation(days, None), (0.9, 1.1))
    assert without == trends_svg(evaluation(days, 0.0), (0.9, 1.1))
    assert without != trends_svg(evaluation(days), (0.9, 1.1))
    assert "01-01" in without


def test_the_picture_for_the_ui_is_a_small_png_also_of_many_students_and_without_groups() -> None:
    drawn = {f"student_{number}": (evaluation(), groups() if number else None) for number in range(6)}
    picture = overview_png(drawn)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 60_000 * 3 // 4
    assert picture == overview_png(drawn)
