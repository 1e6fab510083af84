"""Figures of a selection hold what was measured and mark what one ranking alone sees."""

import math
from xml.etree import ElementTree

import polars as pl

from tests.fixtures.selected_features import DAYS, importance, union
from ukdsl_assets.reports.selection_plots import (
    MOST_FEATURES,
    ONLY_HERE,
    first_in_one_ranking,
    rankings_png,
    rankings_svg,
    stability_svg,
)


def texts(svg: str) -> list[str]:
    # HTML knows the prefix without being told.
    known = svg.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1)
    return [text for each in ElementTree.fromstring(known).iter() if (text := (each.text or "").strip())]


def test_what_one_ranking_alone_puts_first_is_marked() -> None:
    # First three by shown rows: b, c, a; by considered rows: a, d, b.
    assert first_in_one_ranking(union(DAYS[2])) == {"impression": {"c"}, "consideration": {"d"}}
    found = texts(rankings_svg(importance(DAYS[2]), union(DAYS[2])))
    assert found.count(ONLY_HERE) == 2
    assert {"a", "b", "c", "d"} <= set(found)
    same = union(DAYS[2]).with_columns(impression_rank=pl.col("consideration_rank"))
    assert ONLY_HERE not in texts(rankings_svg(importance(DAYS[2]), same))


def test_the_same_figures_give_the_same_bytes() -> None:
    for draw in (rankings_svg, rankings_png):
        assert draw(importance(DAYS[0]), union(DAYS[0])) == draw(importance(DAYS[0]), union(DAYS[0]))
    assert rankings_png(importance(DAYS[0]), union(DAYS[0])).startswith(b"\x89PNG")


def test_undefined_scores_are_drawn_as_nothing() -> None:
    tables = {name: table.with_columns(score=pl.lit(math.nan)) for name, table in importance(DAYS[0]).items()}
    assert "a" in texts(rankings_svg(tables, union(DAYS[0])))


def test_of_many_features_those_that_a_ranking_puts_first_are_drawn() -> None:
    names = [f"f{at:02d}" for at in range(60)]
    many = pl.DataFrame({"feature": names, "impression_rank": range(1, 61)}).with_columns(
        consideration_rank=61 - pl.col("impression_rank"), place=pl.lit(None, pl.Int32)
    )
    table = pl.DataFrame({"feature": names, "score": [0.1] * 60, "standard_error": [0.0] * 60})
    drawn = set(texts(rankings_svg({"IMP": table, "CD": table}, many))) & set(names)
    assert drawn == {*names[: MOST_FEATURES // 2], *names[-MOST_FEATURES // 2 :]}


def test_stability_shows_each_days_choice() -> None:
    found = texts(stability_svg(pl.concat(union(day) for day in DAYS)))
    assert "a" in found
    assert "01-03" in found
    never = {"a", "b", "c", "d"} - {name for day in DAYS for name in union(day).filter(pl.col("place") > 0)["feature"]}
    assert not never & set(found)
