"""What is said of a student whose task is given another: the product and the rows weighted by what is given."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from ukdsl_assets.declaration.columns import CD, GIVEN, PRODUCT
from ukdsl_assets.learning.evaluation.table import judging_head

LEGEND = (
    "PRODUCT: all shown rows; the probability of what the task is given times the student's, judged by positive labels "
    "(0 where what is given did not happen, and counted for those yet to come). GIVEN: CD weighted by the teacher's "
    "probability of what is given, against the truth by the true one. For such a task IMP has only rows where what is "
    "given happened, and CD as it stands is mostly of rows where it would not."
)
_Rows = tuple[Mapping[str, Any], Mapping[str, Any]]


def product_sentences(serving: str, evaluation: pl.DataFrame) -> list[str]:
    """What distillation did to a student whose task is given another, by its use; empty for other students.

    Args:
        serving: the head that serves; evaluation: the student's table of a day.
    """
    return [*_sentences(serving, evaluation)]


def _sentences(serving: str, evaluation: pl.DataFrame) -> Iterator[str]:
    def rows(domain: str, reference: str) -> _Rows | None:
        places = (("baseline", "impression"), ("distilled", judging_head(serving, CD if domain == GIVEN else domain)))
        found = [evaluation.filter(arm=a, head=h, domain=domain, reference=reference) for a, h in places]
        before, after = (each.row(0, named=True) if len(each) else None for each in found)
        return None if before is None or after is None else (before, after)

    product, given, plain = rows(PRODUCT, "label"), rows(GIVEN, "teacher"), rows(CD, "teacher")
    if product:
        yield f"On all shown rows, both probabilities multiplied: calibration {_change_of(product)} against labels."
    if given:
        yield f"Considered rows by what the task is given: calibration {_change_of(given)} against the teacher."
    if (product or given) and plain:
        yield f"Unweighted, mostly of rows where that does not happen, it is {_arrow(plain)}, which judges nothing."
    of_truth = {"product": rows(PRODUCT, "truth"), "weighted rows": rows(GIVEN, "truth")}
    told = [f"{name} {_change_of(pair)}" for name, pair in of_truth.items() if pair]
    if told:
        yield f"Against the true probabilities: {'; '.join(told)}."
    yesterdays = evaluation.filter(arm="released", domain=PRODUCT, reference="label")
    if len(yesterdays):
        # It may have been released before the student got its present heads.
        heads = set(yesterdays["head"])
        head = next(each for each in (serving, "consideration", "impression") if each in heads)
        row = yesterdays.filter(head=head).row(0, named=True)
        yield (
            "Progressive validation, the students released before this day, both probabilities multiplied: calibration "
            f"{_figures(row)} against labels."
        )


def _arrow(pair: _Rows) -> str:
    """0.612 -> 0.981"""
    return " -> ".join(_number(row["calibration"], ".3f") for row in pair)


def _change_of(pair: _Rows) -> str:
    """0.612 -> 0.981 +- 0.040, NE -1.98% +- 0.17%; what is undefined is not measured."""
    if not any(math.isfinite(row["calibration"] or math.nan) for row in pair):
        return "not measured, without a positive one"
    return f"{_number(pair[0]['calibration'], '.3f')} -> {_figures(pair[1])}"


def _figures(row: Mapping[str, Any]) -> str:
    """0.981 +- 0.040, NE -1.98% +- 0.17%"""
    forms = {"calibration": ".3f", "calibration_error": ".3f", "ne_change": "+.2%", "ne_change_error": ".2%"}
    calibration, error, change, change_error = (_number(row[name], form) for name, form in forms.items())
    return f"{calibration} +- {error}, NE {change} +- {change_error}"


def _number(value: float | None, form: str) -> str:
    return format(value, form) if value is not None and math.isfinite(value) else "not measured"
