"""Pages before and after, as the report draws and tells them."""

from dataclasses import replace

from tests.reports.test_html import report, words
from ukdsl_assets.pipeline.page_examples import PageExample, PageExamples, Shown
from ukdsl_assets.reports.html import render_report
from ukdsl_assets.reports.pages_section import page_picture

STAYS, GOES, COMES, HELD = (
    Shown("7", "kind a"),
    Shown("8", "kind <b>"),
    Shown("9", "kind c", True),
    Shown("5", "kind a"),
)
EXAMPLE = PageExample("r1", (STAYS, GOES), (COMES, STAYS), (HELD,), ("at_most: 2 with kind 'a', of 1",))
EXAMPLES = PageExamples(40, 0.5, 0.2, 0.25, 0.26, 30, 2, (EXAMPLE,))


def test_a_picture_joins_what_stays_and_marks_what_is_new_pinned_gone_and_held_back() -> None:
    drawn = page_picture(EXAMPLE)
    assert drawn.count('class="link"') == 1
    assert [drawn.count(f'class="slot{kind}"') for kind in ("", " gone", " new", " held")] == [2, 1, 1, 1]
    assert "pinned, new" in drawn
    assert "kind &lt;b&gt;" in drawn
    assert 'aria-label="Request r1: shown 7 (kind a), 8 (kind &lt;b&gt;); then 9 (kind c), 7 (kind a)' in drawn


def test_the_report_has_the_section_where_a_page_is_declared() -> None:
    without = render_report(report())
    assert 'id="pages"' not in without
    html = render_report(replace(report(), pages=EXAMPLES))
    assert '<a href="#pages">' in html
    text = words(html)
    assert "Of 40 withheld requests that did not explore, the declared page keeps 50% of what was shown." in text
    assert "The rules change 30 of these pages. On 2 no page keeps all rules." in text
    assert "a page is worth +25.0% against what was shown, and values alone would make +30.0%" in text
    assert "Request r1: at_most: 2 with kind 'a', of 1." in text
