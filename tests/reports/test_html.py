"""The report is whole, says what was measured and how, and leaves out what the lake does not have."""

from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import polars as pl
import pytest

from tests.fixtures.evaluated import DAY, evaluation, groups
from tests.fixtures.graph import shipped
from tests.fixtures.selected_features import SELECTION, selected
from ukdsl_assets.reports.contents import CascadeReport, StudentReport, completed, funnel_of, gates_of, outcome_on
from ukdsl_assets.reports.html import data_line, headline_sentences, main_rows, progressive_rows, render_report

CASCADE = shipped("simulated_ads")
STUDENT = CASCADE.student("pre_ranking_click")
HISTORY = [
    {
        "outcome": "refused",
        "decided_at": "2026-01-03T05:00:01+00:00",
        "entry": {"day": "2026-01-02", "checkpoint": "aaaa", "reasons": ["<gate> & co: 1.3 +- 0.1"]},
    },
    {
        "outcome": "released",
        "decided_at": "2026-01-04T05:00:01+00:00",
        "entry": {"day": "2026-01-03", "checkpoint": "bbbb"},
    },
]
STAGES = pl.DataFrame(
    {
        "stage": ["retrieval"],
        "task": ["click"],
        "domain": ["CD"],
        "reference": ["teacher"],
        "rows": [12_345],
        "mean_prediction": [0.025],
        "mean_reference": [0.02],
        "calibration": [1.25],
    }
)


def judged(**changes: float) -> pl.DataFrame:
    """An evaluation: the baseline is 1.27 on CD, the distilled arm 1.004; `changes` are of the distilled arm."""
    table = completed(evaluation())
    of_arm = pl.when(pl.col("arm") == "baseline").then(1.27).otherwise(1.004)
    table = table.with_columns(calibration=of_arm)
    return table.with_columns(
        pl.when(arm="distilled").then(pl.lit(value)).otherwise(name).alias(name) for name, value in changes.items()
    )


def student(**changes: object) -> StudentReport:
    table = judged()
    whole = StudentReport(
        STUDENT, table, table, groups(), gates_of(CASCADE, STUDENT, table), HISTORY[::-1][:1], "released", []
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def report(*students: StudentReport) -> CascadeReport:
    funnel = pl.DataFrame({"step": ["scored by retrieval", "shown"], "rows": [300, 6]})
    return CascadeReport(CASCADE, DAY, 1, funnel, STAGES, list(students))


class Elements(HTMLParser):
    """The addresses that a page would load, and whether its elements are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.slow
def test_the_page_is_well_formed_needs_no_network_and_is_the_same_again() -> None:
    text = render_report(report(student(), student()))
    page = Elements(text)
    assert page.open == []
    assert all(each.startswith("#") for each in page.loaded)
    assert "http" not in text
    assert "<script" not in text
    assert "@import" not in text
    assert text == render_report(report(student(), student()))


def test_the_page_tells_whose_figures_they_are() -> None:
    text = render_report(report(student()))
    assert "simulated_ads, 2026-01-03" in text
    assert '<span class="note">simulated</span>' in text
    assert "source simulated (seed 1)" in text
    assert "against teacher ranking_logged, head consideration" in text
    assert "ukdsl score simulated_ads pre_ranking_click --input" in text
    assert "20% of the requests" in data_line(CASCADE, DAY)


def test_the_main_table_has_the_papers_columns_and_its_figures_last() -> None:
    assert main_rows(judged()) == [
        ("baseline", ["1.270\u00a0±\u00a00.010", "1.270\u00a0±\u00a00.010", "0", "0"]),
        (
            "with distillation",
            ["1.004\u00a0±\u00a00.010", "1.004\u00a0±\u00a00.010", *["\u22122.00\u00a0±\u00a01.00%"] * 2],
        ),
    ]
    text = render_report(report(student()))
    assert 0 < text.index("1.270\u00a0±") < text.index("as the paper reports") < text.index("\u22121.98%")


def test_the_verdict_is_in_words_and_takes_small_changes_for_none() -> None:
    clear = " ".join(headline_sentences(judged(ne_change_error=0.001), "ranking_logged"))
    assert "27% too high without distillation and right on average with it" in clear
    assert "more accurate on considered candidates (NE\u00a0\u22122.00\u00a0±\u00a00.10%)" in clear
    unclear = " ".join(headline_sentences(judged(ne_change_error=0.011), "ranking_logged"))
    assert "not measurably different on considered candidates" in unclear
    worse = " ".join(headline_sentences(judged(ne_change=0.05, calibration=0.9), "ranking_logged"))
    assert "10% too low with it" in worse
    assert "less accurate on considered candidates" in worse
    assert headline_sentences(judged().filter(arm="baseline"), "ranking_logged") == []


def test_a_refusal_says_why_and_users_texts_are_escaped() -> None:
    refused = student(outcome="refused", reasons=HISTORY[0]["entry"]["reasons"], decisions=HISTORY)  # type: ignore[index]
    text = render_report(report(refused))
    assert "What was released before stays" in text
    assert "&lt;gate&gt; &amp; co: 1.3 ± 0.1" in text
    assert "<gate>" not in text
    assert text.index("bbbb") < text.index("aaaa")


def test_what_older_days_lack_is_left_out_with_a_sentence() -> None:
    old = completed(evaluation(error=None).drop("ne_change_error"))
    assert gates_of(CASCADE, STUDENT, old) is None
    text = render_report(report(student(evaluation=old, trend=old, groups=None, gates=None)))
    assert "before calibration by decile and segment was kept" in text
    assert "before standard errors were kept" in text
    assert "No student had been released before this day" in text
    assert "nan" not in text.lower()


def test_progressive_validation_compares_what_was_released_with_todays() -> None:
    before = judged().filter(arm="distilled").with_columns(arm=pl.lit("released"), calibration=1.1)
    rows = progressive_rows(pl.concat([judged(), before]))
    assert [title for title, _ in rows] == ["released before this day", "distilled on this day"]
    assert rows[0][1][1].startswith("1.100")
    assert progressive_rows(judged()) == []


def test_gates_are_judged_again_from_the_evaluation() -> None:
    def passed(table: pl.DataFrame) -> dict[str, bool]:
        return {gate.name: gate.passed for gate in gates_of(CASCADE, STUDENT, table) or []}

    assert all(passed(judged()).values())
    assert not passed(judged(calibration=1.5))["calibrated_on_consideration"]
    assert "failed" in render_report(report(student(gates=gates_of(CASCADE, STUDENT, judged(calibration=1.5)))))
    # The student had one head when it was evaluated.
    assert gates_of(CASCADE, STUDENT, judged().filter(head="impression")) is None


@pytest.mark.parametrize(
    ("day", "released", "expected"),
    [
        (date(2026, 1, 2), None, ("refused", ["<gate> & co: 1.3 +- 0.1"])),
        (date(2026, 1, 3), None, ("released", [])),
        (date(2026, 1, 1), {"day": "2026-01-03"}, ("newer", [])),
        (date(2026, 1, 4), {"day": "2026-01-03"}, ("undecided", [])),
        (date(2026, 1, 4), None, ("undecided", [])),
    ],
)
def test_what_became_of_a_day(day: date, released: dict[str, str] | None, expected: tuple[str, list[str]]) -> None:
    assert outcome_on(day, HISTORY, released) == expected


def test_the_funnel_counts_every_stage_that_scored_a_candidate() -> None:
    log = pl.LazyFrame(
        {
            "request_id": [1, 1, 1, 2],
            "deepest_stage": ["retrieval", "pre_ranking", "ranking", "ranking"],
            "shown": [False, False, True, True],
        }
    )
    impressions = pl.LazyFrame({"click": [1.0, 0.0], "conversion": [None, 1.0]})
    requests, funnel = funnel_of(CASCADE, log, impressions)
    assert requests == 2
    assert funnel.rows() == [
        ("scored by retrieval", 4),
        ("scored by pre_ranking", 3),
        ("scored by ranking", 2),
        ("shown", 2),
        ("click", 1),
        ("conversion, so far", 1),
    ]


def test_a_cascade_without_students_or_logged_predictions_has_a_report_too() -> None:
    bare = replace(report(), stages=STAGES.clear())
    text = render_report(bare)
    assert "declares no student" in text
    assert "No stage of this cascade logs a prediction" in text
    assert Elements(text).open == []


def test_a_selection_has_its_section_and_a_student_without_one_has_none() -> None:
    declared = STUDENT.model_copy(update={"selection": SELECTION, "features": "selected"})
    text = render_report(report(student(student=declared, selection=selected())))
    assert "Feature selection" in text
    assert "Rule average importance chose 3 of 4 candidates" in text
    assert "Feature selection" not in render_report(report(student()))
