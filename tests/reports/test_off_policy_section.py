"""What policies would earn, as the report draws and tells it."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from tests.fixtures.estimates import DAY, table_of
from tests.fixtures.graph import shipped
from tests.reports.test_html import Elements, report, words
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.pipeline.page_policy import Estimated
from ukdsl_assets.reports.contents import read_estimates
from ukdsl_assets.reports.html import render_report
from ukdsl_assets.reports.off_policy_section import estimates_shown
from ukdsl_assets.reports.svg import WIDTH
from ukdsl_assets.settings import Settings

CASCADE = shipped("simulated_item_page")
CLICK, PURCHASE = CASCADE.students
NOTHING = table_of(1).clear()


def test_the_report_has_the_section_where_something_was_estimated() -> None:
    assert 'id="estimates"' not in render_report(report())
    assert CASCADE.page is not None
    tables: list[tuple[Estimated, pl.DataFrame]] = [
        (CLICK, table_of(1)),
        (PURCHASE, NOTHING),
        (CASCADE.page, table_of(1, better=0.0)),
    ]
    html = render_report(replace(report(), cascade=CASCADE, estimates=tables))
    assert Elements(html).open == []
    assert '<a href="#estimates">' in html
    text = words(html).partition("What policies would earn Estimated")[2]
    assert "or if the page were shown that its rules make of the students, without exploration" in text
    assert "module_click" in text
    assert "pageclick400 same day" in text
    assert "module_purchaseclick" not in text
    assert "By sndr; in brackets 95% intervals over requests. Rewards of 50% of the requests were final" in text
    without = render_report(replace(report(), cascade=CASCADE, estimates=tables[:1]))
    assert "or if the page were shown" not in words(without)


def test_a_bar_is_the_95_percent_interval_of_the_difference() -> None:
    table = table_of(1, paired=False)
    shown = estimates_shown(CASCADE, [(CLICK, table)])
    assert shown is not None
    (drawn,) = shown["pictures"]
    assert drawn.count('class="bar distilled"') == 1
    (row,) = table.filter(reward="click", estimator="sndr").iter_rows(named=True)
    (cells,) = shown["rows"]
    assert cells[-1] == f"{row['difference']:+.4f}  ({row['difference_low']:+.4f} to {row['difference_high']:+.4f})"
    assert cells[-1] in drawn
    # The whole bar is inside of the axis, whose ends are at 16 + 6.3 letters and 10 from the right.
    left, right = (
        float(drawn.partition('class="bar distilled"')[2].split(f'{x}="')[1].split('"')[0]) for x in ("x1", "x2")
    )
    assert 16 + 6.3 * len("module_click") < left < right < WIDTH - 10


def test_without_a_matched_reward_there_is_no_bar_and_no_interval() -> None:
    table = table_of(1).with_columns(rewarded=pl.lit(0, pl.Int64))
    shown = estimates_shown(CASCADE, [(CLICK, table)])
    assert shown is not None
    assert shown["pictures"] == []
    assert "no matched reward: no interval" in shown["rows"][0][-1]
    assert estimates_shown(CASCADE, [(CLICK, NOTHING)]) is None


def test_what_is_published_of_a_day_is_read(tmp_path: Path) -> None:
    settings = Settings(lake=str(tmp_path))
    lake = Lake(settings.tables, settings.shards)
    assert read_estimates(lake, CASCADE, DAY) == []
    lake.commit(lake.stage_frame((CASCADE.name, "off_policy"), DAY, table_of(1).drop("day")), {})
    ((of, rows),) = read_estimates(lake, CASCADE, DAY)
    assert of == CASCADE.page
    assert rows["day"].unique().to_list() == [DAY]
