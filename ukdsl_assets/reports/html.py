"""The report of a cascade and day as one HTML file that needs nothing else: no network, no scripts."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from hashlib import sha256

from jinja2 import Template, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.reports import pictures
from ukdsl_assets.reports.cells import PAPER, funnel_rows, stage_rows
from ukdsl_assets.reports.changes import row_changes
from ukdsl_assets.reports.contents import CascadeReport, read_report
from ukdsl_assets.reports.explained import Explained
from ukdsl_assets.reports.glossary import GROUPS
from ukdsl_assets.reports.off_policy_section import estimates_shown
from ukdsl_assets.reports.page import page_environment, style_sheet
from ukdsl_assets.reports.pages_section import pages_shown
from ukdsl_assets.reports.printed import days_that_judged, withheld_requests
from ukdsl_assets.reports.student_section import gate_in_words, reason_in_words, student_shown, unprefixed
from ukdsl_assets.settings import Settings


def report_place(cascade: str, day: date) -> tuple[str, ...]:
    """Folders and file of a day's report below the lake."""
    return ("reports", cascade, f"day={day}", "report.html")


@dataclass(frozen=True)
class WrittenReport:
    """What was shown, where the file is (absolute path or URI), its size, and a hash of its content."""

    report: CascadeReport
    uri: str
    bytes: int
    version: str


def write_report(settings: Settings, cascade: Cascade, day: date) -> WrittenReport:
    """Makes the report of a day and puts it into the lake; a report that is there is replaced in one step.

    Raises:
        LakeError: a table that the report needs is not published for the day.
    """
    storage, report = Storage(settings.lake), read_report(settings, cascade, day)
    place, content = report_place(cascade.name, day), render_report(report).encode()
    storage.write(storage.path(*place), content)
    return WrittenReport(report, storage.uri(*place), len(content), sha256(content).hexdigest()[:16])


def render_report(report: CascadeReport) -> str:
    """The HTML text; equal reports give the same text."""
    cascade, explained = report.cascade, Explained()
    return _template().render(
        cascade=cascade,
        day=report.day,
        before=report.before,
        data=data_line(report),
        css=style_sheet(),
        overview=pictures.overview(report.students),
        funnel=funnel_rows(report.funnel, report.requests),
        requests=report.requests,
        delayed=any(task.delayed for task in cascade.tasks),
        stages=pictures.stage_calibration(report.stages) if len(report.stages) else None,
        stage_rows=stage_rows(report.stages),
        row_changes=row_changes(report.rows_before, report.rows),
        students=[student_shown(cascade, report.day, student_report) for student_report in report.students],
        pages=pages_shown(report.pages),
        estimates=estimates_shown(cascade, report.estimates),
        selecting=any(each.selection for each in report.students),
        paper=PAPER,
        glossary=GROUPS,
        term=explained.term,
        explained=explained.text,
        begin=explained.begin,
    )


@cache
def _template() -> Template:
    """Compiled once a process: that takes 50 ms."""
    environment = page_environment()
    environment.filters |= {"explained": _explained, "in_words": gate_in_words}
    environment.filters |= {"unprefixed": unprefixed, "reason_in_words": reason_in_words}
    return environment.get_template("report.html.jinja")


@pass_context
def _explained(context: Context, sentence: str) -> Markup:
    text: Markup = context["explained"](sentence)
    return text


def data_line(report: CascadeReport) -> str:
    """Which data the figures are of."""
    cascade = report.cascade
    days = [days_that_judged(cascade, each.evaluation) for each in report.students]
    seed = getattr(cascade.source, "seed", None)
    source = f"source {cascade.source.kind}" + ("" if seed is None else f" (seed {seed})")
    note = f"{cascade.note}, " if cascade.note else ""
    return (
        f"Data: {note}{source}. Students are judged on the {withheld_requests(days, report.day)}: "
        f"{cascade.withheld_share:.0%} of the requests, chosen by hash, on which no model was trained."
    )
