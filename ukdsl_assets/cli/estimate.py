"""`ukdsl estimate`: what a student's policy, or the page, would earn, from explored rows."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    console,
    find_cascade,
    find_student,
    hints,
    parse_days,
    read_settings,
    text_width,
)
from ukdsl_assets.cli.completion import student_names
from ukdsl_assets.errors import DeclarationError

if TYPE_CHECKING:
    import polars as pl

    from ukdsl_assets.declaration.cascade import Cascade
    from ukdsl_assets.pipeline.page_policy import Estimated


def estimate(
    cascade: CascadeName,
    student: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDENT]",
            help="One of its students, or page; all of the last stage, and the page, if left out.",
            autocompletion=student_names,
        ),
    ] = None,
    days: Annotated[
        str | None,
        typer.Option(help="2026-01-01, or 2026-01-01..2026-01-07; the newest exploration_days that are there."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON, in place of all else.")] = False,
) -> None:
    """Estimate from explored rows what a student's order, or the declared page, would earn, against production."""
    from ukdsl_assets.declaration.students import Student
    from ukdsl_assets.gates import NOT_JUDGED
    from ukdsl_assets.off_policy.gates import judge_above_production
    from ukdsl_assets.pipeline.day import Day
    from ukdsl_assets.pipeline.off_policy import trailing_estimates
    from ukdsl_assets.pipeline.page_policy import off_policy_table
    from ukdsl_assets.pipeline.workspace import Workspace
    from ukdsl_assets.reports.off_policy import (
        LEGEND,
        days_of,
        estimates_json,
        estimators_table,
        glance_lines,
    )

    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    policies = _estimated(declared, student)
    wanted = parse_days(declared, days) if days is not None else None
    workspace = Workspace.open(settings)
    tables: list[tuple[Estimated, pl.DataFrame]] = []
    without_page = ""
    for each in policies:
        published = workspace.lake.partitions(off_policy_table(declared, each))
        of = wanted or days_of(published, declared.exploration_days) or [declared.first_day]
        if tables and not isinstance(each, Student) and not {*of} & {*published}:
            # Days that were made before the page was declared have their students' estimates all the same.
            without_page = f"ukdsl run {declared.name} --days {max(tables[-1][1]['day'])}"
            continue
        tables.append((each, trailing_estimates(Day(workspace, declared, of[-1]), each, of)))
    if as_json:
        print(json.dumps([estimates_json(declared, each, table) for each, table in tables], indent=1))
        return
    for number, (each, table) in enumerate(tables):
        lines = [*([""] if number else []), *glance_lines(declared, each, table), ""]
        console.print("\n".join(lines), highlight=False, soft_wrap=True)
        if not isinstance(each, Student):
            for place, task in enumerate(table["reward"].unique(maintain_order=True)):
                console.print(*([""] if place else []), estimators_table(table, task), sep="\n", width=text_width())
        elif each.task in table["reward"]:
            console.print(estimators_table(table, each.task), width=text_width())
            verdict = judge_above_production(declared, each, table, max(table["day"]))
            told = f"{verdict.verdict}: {verdict.message.removeprefix(f'{NOT_JUDGED}: ')}"
            console.print(f"\n{verdict.name}: {told}", highlight=False, width=text_width())
        if without := len(set(wanted or ()) - set(table["day"])):
            console.print(f"Days asked for without an estimate: {without}", highlight=False)
    if without_page:
        hints.print(f"\n{declared.name}/page: no estimate yet. Make one:\n  {without_page}", highlight=False)
    hints.print(f"\n{LEGEND} Which estimator when: docs/off-policy.md.", highlight=False, width=text_width())


def _estimated(cascade: "Cascade", name: "str | None") -> "list[Estimated]":
    """Whose policies are estimated, or the named one of them; a student called page is meant before the page.

    Raises:
        DeclarationError: the cascade declares no estimates, or there is no such student among those of the last stage,
            or no page is estimated and it was asked for.
    """
    from ukdsl_assets.pipeline.page_policy import PAGE, estimated_policies

    if cascade.off_policy is None:
        raise DeclarationError(
            f"{cascade.name} declares no `off_policy`, so nothing is estimated. Where its logs have explored rows with "
            f"their propensity, add `off_policy: {{}}` to {cascade.origin or 'its declaration'}"
        )
    if name is None:
        return list(estimated_policies(cascade))
    if name == PAGE and PAGE not in [each.name for each in cascade.students]:
        if cascade.estimated_page is not None:
            return [cascade.estimated_page]
        raise DeclarationError(
            f"{cascade.name}: no page is estimated; declare `page:`, of students of the last stage, or name a student: "
            f"{', '.join(each.name for each in cascade.estimated_students)}"
        )
    found = find_student(cascade, name)
    names = [each.name for each in cascade.estimated_students]
    if name not in names:
        told = (
            f"{cascade.name}: `{name}` is of stage {found.stage}, and explored requests show what the last one scored"
        )
        raise DeclarationError(f"{told}; estimated are {', '.join(names)}")
    return [found]
