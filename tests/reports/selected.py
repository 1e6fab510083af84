"""A student's selection on some days, for tests of the report."""

from datetime import date

import polars as pl

from tests.selection.scored import scored
from ukdsl_assets.cascade import Feature
from ukdsl_assets.declared_students import Student
from ukdsl_assets.reports.figures_data import SelectionReport
from ukdsl_assets.selection.choice import choice_table
from ukdsl_assets.selection.declaration import Selection

DAYS = [date(2026, 1, day) for day in (1, 2, 3)]
SELECTION = Selection(budget=3, rule="average_importance")
STUDENT = Student(name="click", stage="early", task="click", teacher="late", features="selected", selection=SELECTION)
SCORES = {
    DAYS[0]: ([5, 4, 3, 0], [5, 1, 0, 4]),
    DAYS[1]: ([5, 4, 3, 0], [5, 4, 0, 1]),
    DAYS[2]: ([1, 4, 3, 0], [9, 4, 0, 5]),
}


def union(day: date) -> pl.DataFrame:
    """feature_union of features a to d."""
    features = [Feature.model_validate({"name": name, "kind": "numeric", "side": "candidate"}) for name in "abcd"]
    shown, considered = ([float(each) for each in column] for column in SCORES[day])
    return choice_table(scored(shown, considered), features, SELECTION, towers=False).with_columns(day=pl.lit(day))


def importance(day: date) -> dict[str, pl.DataFrame]:
    """What the figures read of both tables of importance."""
    return {
        domain: pl.DataFrame({"feature": list("abcd"), "score": [float(each) for each in column]}).with_columns(
            standard_error=pl.lit(0.5), rows=pl.lit(1200), trainings=pl.lit(2), repeats=pl.lit(3)
        )
        for domain, column in zip(("IMP", "CD"), SCORES[day], strict=True)
    }


def comparison() -> pl.DataFrame:
    """Two rules on both sets."""
    return pl.DataFrame(
        [
            {"rule": rule, "size": size, "domain": domain, "reference": reference, "features": count, "cost": 3.0}
            | {"selected": rule != "impression", "ne_change": change, "ne_change_error": 0.001}
            for rule, size, count, change in (
                ("impression", "equal", 3, 0.0),
                ("average_importance", "equal", 3, -0.0123),
                ("union", "natural", 5, 0.02),
            )
            for domain, reference in (("IMP", "label"), ("CD", "teacher"))
        ]
    )


def selected() -> SelectionReport:
    """The last day, with the days before."""
    return SelectionReport(importance(DAYS[-1]), pl.concat(union(day) for day in DAYS), comparison())
