"""The report is whole, says what was measured and how, and leaves out what the lake does not have."""

import re
from dataclasses import replace
from datetime import date, timedelta
from html import unescape
from html.parser import HTMLParser

import polars as pl
import pytest

from tests.fixtures.evaluated import DAY, evaluation, groups
from tests.fixtures.graph import shipped
from tests.fixtures.selected_features import SELECTION, selected
from ukdsl_assets.learning.evaluation.champion import Paired
from ukdsl_assets.learning.evaluation.champion_table import Pairing, comparison_rows
from ukdsl_assets.reports.cells import main_rows, progressive_rows, scored_rows
from ukdsl_assets.reports.champion import champion_markdown, champion_sentences
from ukdsl_assets.reports.contents import CascadeReport, StudentReport, completed, funnel_of, gates_of, outcome_on
from ukdsl_assets.reports.html import data_line, render_report
from ukdsl_assets.reports.student_section import headline_sentences

CASCADE = shipped("simulated_ads")
STUDENT = CASCADE.student("pre_ranking_click").model_copy(update={"heads": ("impression", "consideration")})
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


def words(html: str) -> str:
    """A page as it reads, without tags and glossary."""
    return " ".join(unescape(re.sub("<[^>]*>", "", html.partition('id="glossary"')[0])).split())


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
    assert "against teacher ranking_logged, by head consideration" in text
    assert "ukdsl score simulated_ads pre_ranking_click --input" in text
    assert "20% of the requests" in data_line(report(student()))


def test_the_page_tells_how_many_days_judged_and_not_how_many_were_asked_for() -> None:
    week = CASCADE.model_copy(update={"evaluation_days": 7})
    for counts, told in (
        ([None], f"of the 7 days up to {DAY}"),
        ([3], f"of the 3 days up to {DAY}"),
        ([1], f"withheld requests of {DAY}"),
        ([1, 3], f"of the 1 to 3 days up to {DAY}"),
    ):
        students = [student(evaluation=judged().with_columns(days=pl.lit(days, pl.Int64))) for days in counts]
        assert told in data_line(replace(report(*students), cascade=week))


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
    assert "more accurate on rows that the next stage scored (NE\u00a0\u22122.00\u00a0±\u00a00.10%)" in clear
    unclear = " ".join(headline_sentences(judged(ne_change_error=0.011), "ranking_logged"))
    assert "not measurably different on rows that the next stage scored" in unclear
    worse = " ".join(headline_sentences(judged(ne_change=0.05, calibration=0.9), "ranking_logged"))
    assert "10% too low with it" in worse
    assert "less accurate on rows that the next stage scored" in worse
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
    assert "no student had been released before this day" in text
    assert "nan" not in text.lower()


def test_pooled_days_say_which_requests_a_point_is_of_and_why_nothing_is_said_of_the_released() -> None:
    alone = report(student())
    of_week = replace(alone, cascade=CASCADE.model_copy(update={"evaluation_days": 7}))
    one, week = (re.sub("<[^>]+>", "", render_report(each)) for each in (alone, of_week))
    assert "each on its own withheld requests. Bars" in one
    assert "no student had been released before this day, or it cannot predict today's rows" in unescape(one)
    assert "each on the withheld requests of up to 7 days that end with it. Bars" in week
    assert "no student had been released before the first of the days that judge" in week


def test_progressive_validation_compares_what_was_released_with_todays() -> None:
    before = judged().filter(arm="distilled").with_columns(arm=pl.lit("released"), calibration=1.1)
    rows = progressive_rows(pl.concat([judged(), before]))
    assert [title for title, _ in rows] == ["released before this day", "distilled on this day"]
    assert rows[0][1][1].startswith("1.100")
    assert progressive_rows(judged()) == []


def test_gates_are_judged_again_from_the_evaluation() -> None:
    def passed(table: pl.DataFrame) -> dict[str, bool]:
        return {gate.name: gate.passed for gate in gates_of(CASCADE, STUDENT, table) or [] if gate.judged}

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


def test_a_withdrawn_day_says_by_whom_and_why() -> None:
    entry = {"day": str(DAY), "checkpoint": "0" * 16, "by": "anna", "reasons": ["clicks <fell>"]}
    record = {"outcome": "withdrawn", "decided_at": "2026-01-09T08:00:00+00:00", "entry": entry}
    withdrawn = student(outcome="withdrawn", reasons=["clicks <fell>"], decisions=[record])
    text = unescape(re.sub(r"<[^>]+>", "", render_report(report(withdrawn))))
    assert "It passed and was withdrawn, by anna: clicks <fell>." in text


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
    assert 'href="#selection"' in text
    assert "Rule average importance chose 3 of 4 candidates" in text
    assert "Feature selection" not in render_report(report(student()))


def test_a_day_that_was_not_judged_says_so_and_by_how_much_the_challenger_differs() -> None:
    day = DAY - timedelta(days=1)
    comparison = pl.concat(
        comparison_rows(
            Pairing(when, STUDENT.teacher, "new", challenger, "old", day, arm),
            {"IMP": Paired(100, 600, 20, 50.0, 0.1, 30.0, 0.01, 0.05)},
        )
        for when, challenger, arm in (("same_day", DAY, "released"), ("next_day", day, "baseline"))
    ).with_columns(day=pl.lit(DAY))
    html = render_report(
        report(
            student(
                outcome="not_judged",
                reasons=["on_impression: not judged: too few rows"],
                champion=comparison,
                decisions=[],
            )
        )
    )
    assert '<h3><span class="state">Not judged</span>' in html
    assert "Gate “on impression” could not be judged: too few rows." in words(html)
    assert "Nothing moves: what was released before stays." in html
    says = f"Same day, which decides: this day's student on withheld requests, NE against what was released, of {day}"
    assert says in words(html)
    assert f"Next day: the student of {day} on all of this day's requests, which it has not seen" in words(html)
    assert f"the baseline of {day}, since nothing is released: shown rows +0.20% (" in words(html)
    assert champion_markdown(comparison).count("| IMP | label | 100 | 600 |") == 2
    figures = "on_impression: not judged: NE on IMP: -0.5%; expected at most +0.3%; too few rows: 84 days would do"
    long = words(render_report(report(student(outcome="not_judged", reasons=[figures]))))
    assert "Gate “on impression” could not be judged: too few rows: 84 days would do." in long
    assert "Gate “on impression”: NE on shown rows: −0.5%; expected at most +0.3%; too few rows" in long  # noqa: RUF001
    nothing = student(outcome="not_judged", reasons=["few"], anything_released=False)
    assert "Nothing moves: nothing is released. There is too little" in render_report(report(nothing))
    refused = student(outcome="refused", reasons=["worse"], anything_released=False)
    assert "<p>Nothing is released. Why:</p>" in render_report(report(refused))


def test_a_release_names_the_checkpoints_day_and_the_gates_that_it_accepted() -> None:
    day = DAY - timedelta(days=2)
    entry = {"day": str(day), "checkpoint": "a", "decided_on": str(DAY)}
    record = {"outcome": "released", "decided_at": "2026-01-03T00:00:00", "entry": entry}
    assert f"No gate refuses the release; the student of {day} may serve." in render_report(
        report(student(decisions=[record]))
    )
    leave = record | {"entry": entry | {"day": str(DAY), "accepted": ["teacher: off", "ne: worse"]}}
    text = words(render_report(report(student(decisions=[leave]))))
    assert "Accepted by name: teacher: off; ne: worse; this day's student may serve." in text
    assert "No gate refuses" not in text


def test_the_comparison_that_decides_tells_the_pooled_change_of_what_decides() -> None:
    def of(day: date, when: str, difference: float) -> pl.DataFrame:
        sums = Paired(100, 600, 20, 50.0, difference, 30.0, 0.01, 0.05)
        pairing = Pairing(when, STUDENT.teacher, "new", day, "old", day - timedelta(days=1), "released")
        return comparison_rows(pairing, dict.fromkeys(("IMP", "CD", "SCORED"), sums)).with_columns(day=pl.lit(day))

    days = [DAY - timedelta(days=back) for back in (2, 1, 0)]
    table = pl.concat(of(day, when, 0.1 * at) for at, day in enumerate(days, 1) for when in ("same_day", "next_day"))
    decides, pooled, other = champion_sentences(STUDENT, table, DAY)
    assert decides.startswith("Same day, which decides: this day's student on withheld requests")
    assert "IMP +0.60% (" in decides
    assert pooled.startswith("Decided over 3 days: IMP +0.40% (")
    assert ["SCORED" in each for each in (decides, pooled, other)] == [True] * 3
    assert ["CD" in each for each in (decides, pooled, other)] == [False, False, True]
    assert len(champion_sentences(STUDENT, table.filter(day=DAY), DAY)) == 2
    assert champion_sentences(STUDENT, table, DAY + timedelta(days=1)) == []


def test_the_verdict_takes_its_own_choice_and_a_table_shows_all_that_was_scored() -> None:
    considered = judged().filter(domain="CD")
    parts = [judged()]
    for domain, reference, calibration in (("SCORED", "teacher", 1.2), ("OWN", "teacher", 1.03), ("OWN", "truth", 0.9)):
        of = considered.with_columns(
            domain=pl.lit(domain), reference=pl.lit(reference), calibration=pl.lit(calibration)
        )
        parts.append(of.with_columns(value_share=pl.lit(0.8) if (domain, reference) == ("OWN", "truth") else None))
    table = pl.concat(parts, how="diagonal_relaxed")
    said = headline_sentences(table, "ranking_logged", "consideration")
    assert said[0].startswith(
        "On its own choice, the candidates that it would itself hand on, its predictions are 3% too"
    )
    assert said[1] == (
        "Against the true probabilities, which this source knows, they are 10% too low without and 10% too low with "
        "distillation."
    )
    shown = dict(scored_rows(table))["with distillation"]
    assert [cell.split("\u00a0")[0] for cell in shown] == ["1.200", "\u2013", "1.030", "0.900", "0.800", "\u2013"]
    text = render_report(report(student(evaluation=table)))
    assert "own choice,<br>truth" in text
    assert "all that stage pre_ranking scores" in words(text)
    assert scored_rows(judged()) == []
    assert "no row that the stage rejected has a teacher" in render_report(report(student()))
