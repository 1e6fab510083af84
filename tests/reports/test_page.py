"""A report of one student in full: its order, its links and headings, and what a browser and a printer make of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.fixtures.browser import CHROMIUM
from tests.fixtures.evaluated import DAY, FUNNEL, VIEWS, evaluation, groups
from tests.fixtures.graph import shipped
from tests.fixtures.selected_features import SELECTION, selected
from ukdsl_assets.gates import GateResult
from ukdsl_assets.reports.changes import DayBefore
from ukdsl_assets.reports.contents import CascadeReport, StudentReport, completed
from ukdsl_assets.reports.html import render_report

CASCADE = shipped("simulated_ads")
SEEN = "NE on IMP against the label: -0.576% (-2.232% to +1.080%) of the champion's, withheld requests of the same day"


def whole_evaluation(days: list[date]) -> pl.DataFrame:
    """Of all kinds of rows, against the truth too, with what had been released before."""
    table = completed(evaluation(tuple(days)))
    table = pl.concat([table, table.filter(arm="distilled").with_columns(arm=pl.lit("released"))])
    further = [
        table.filter(domain="CD").with_columns(domain=pl.lit(domain), reference=pl.lit(reference))
        for domain in ("CD", "SCORED", "OWN")
        for reference in ("teacher", "truth")
        if (domain, reference) not in VIEWS
    ]
    return pl.concat([table, *further, table.filter(domain="IMP").with_columns(reference=pl.lit("truth"))])


def whole_report() -> CascadeReport:
    """A refused student that selects its features, 30 days old, with two segments and gates that fail."""
    days = [DAY - timedelta(days=back) for back in range(29, -1, -1)]
    trend = whole_evaluation(days)
    gates = [GateResult(f"gate_number_{number}", number > 5, SEEN, judged=number > 2) for number in range(14)]
    reasons = [f"{gate.name}: {gate.message}" for gate in gates[3:6]]
    entry = {"day": str(DAY), "checkpoint": "0" * 16, "reasons": reasons}
    history = [{"outcome": "refused", "decided_at": "2026-01-03T05:00:01+00:00", "entry": entry}] * 10
    countries = tuple(f"country {number}" for number in range(15))
    grouped = [groups(names=tuple(f"{number:02}" for number in range(1, 11)))]
    grouped += [groups(by, countries) for by in ("country", "device")]
    passed = [replace(each, passed=True, judged=True) for each in gates]
    student = CASCADE.student("pre_ranking_click").model_copy(update={"selection": SELECTION, "features": "selected"})
    told = StudentReport(
        student, trend.filter(day=DAY), trend, pl.concat(grouped), gates, history, "refused", reasons,
        selected(), "click: as seen", SEEN, SEEN,
        before=DayBefore(days[-2], trend.filter(day=days[-2]), "released", passed),
    )  # fmt: skip
    comparisons = [(view, stage) for view in VIEWS for stage in ("retrieval", "pre_ranking", "ranking")]
    rows: list[dict[str, Any]] = [
        {"stage": stage, "task": "click", "domain": domain, "reference": reference, "calibration": 1.3}
        | {"rows": 12_345, "mean_prediction": 0.02, "mean_reference": 0.02}
        for (domain, reference), stage in comparisons
    ]
    counted = {"candidate_log": 300_000, "event_log": 6_000}
    return CascadeReport(CASCADE, DAY, 1000, FUNNEL, pl.DataFrame(rows), [told], days[-2], counted, counted)


class Page(HTMLParser):
    """Headings with their levels, ids, links inside of the page, and tables with how many of their cells are heads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.sections: list[str] = []
        self.tables: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        # Pictures of matplotlib have ids of their own, which mean the same in each.
        self.ids += [found["id"] or ""] if "id" in found and tag in ("section", "dt") else []
        self.links |= {(found["href"] or "").removeprefix("#")} if tag == "a" else set()
        self.sections += [found.get("id") or "contents"] if tag in ("section", "nav") else []
        if tag == "table":
            self.tables.append(0)
        elif tag == "th" and found.get("scope"):
            self.tables[-1] += 1


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(whole_report())


def test_verdicts_come_first_then_contents_and_what_changed_and_words_last(page: str) -> None:
    assert Page(page).sections == [
        *("verdict", "contents", "changes", "student-pre_ranking_click"),
        *("teachers", "selection", "logs", "gates", "score", "glossary"),
    ]
    verdict = page[page.index("<h2") : page.index("<nav")]
    assert '<div class="verdict refused">' in verdict
    assert "Gate “gate number 3” failed (2 more gates: see its section)" in verdict
    assert "Are predictions at the right level?" in verdict


def test_links_lead_somewhere_headings_are_in_order_and_tables_have_heads(page: str) -> None:
    found = Page(page)
    assert len(found.ids) == len(set(found.ids))
    assert found.links <= set(found.ids)
    assert found.levels[0] == 1
    assert found.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(found.levels, found.levels[1:], strict=False))
    assert all(heads >= 3 for heads in found.tables)


def test_codes_of_rows_are_words_outside_of_the_glossary(page: str) -> None:
    text = re.sub("<[^>]*>", " ", page[page.index("<body") : page.index('id="glossary"')])
    assert re.findall(r"\b(?:IMP|CD|SCORED|OWN|EXPLORED|EXPLORED_TRAILING|PRODUCT|GIVEN)\b", text) == []


def test_the_first_day_has_nothing_to_compare_with() -> None:
    report = whole_report()
    bare = replace(report, before=None, students=[replace(report.students[0], before=None, selection=None)])
    assert "This is the first day in the lake" in render_report(bare)
    new = replace(report, students=[replace(report.students[0], before=None, selection=None)])
    assert f"Not evaluated on {DAY - timedelta(days=1)}" in render_report(new)


@contextmanager
def opened(path: Path, **context: Any) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_context(**context).new_page()
        shown.goto(path.as_uri())
        yield shown
        browser.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: pages of print and width are not measured")
def test_one_student_prints_on_six_pages_and_a_phone_scrolls_down_alone(page: str, tmp_path: Path) -> None:
    assert len(page.encode()) < 1_500_000
    (path := tmp_path / "report.html").write_text(page)
    with opened(path, viewport={"width": 390, "height": 800}, color_scheme="dark") as shown:
        assert shown.evaluate("document.documentElement.scrollWidth") == 390
        assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
        printed = shown.pdf(prefer_css_page_size=True)
    assert 1 < len(re.findall(rb"/Type\s*/Page\b", printed)) <= 6
