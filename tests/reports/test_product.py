"""What is said of a student whose task is given another is of its use, not of rows that nobody clicks."""

import math

import polars as pl

from ukdsl_assets.reports.printed import headline
from ukdsl_assets.reports.product import product_sentences

CALIBRATIONS = {
    ("PRODUCT", "label"): (0.61, 0.98),
    ("PRODUCT", "truth"): (0.6, 0.97),
    ("GIVEN", "teacher"): (0.62, 1.0),
    ("GIVEN", "truth"): (0.63, 1.01),
    ("CD", "teacher"): (0.94, 1.48),
}


def table(**left_out: str) -> pl.DataFrame:
    rows = [
        {"arm": arm, "head": head, "domain": domain, "reference": reference, "calibration": pair[place]}
        | {"calibration_error": 0.04, "ne_change": -0.0198, "ne_change_error": 0.0017}
        for (domain, reference), pair in CALIBRATIONS.items()
        for place, (arm, head) in enumerate([("baseline", "impression"), ("distilled", "consideration")])
    ]
    return pl.DataFrame(rows).filter(~pl.col("domain").is_in(list(left_out.values())))


def test_the_verdict_is_of_the_product_and_of_what_is_given() -> None:
    assert headline("consideration", table()).splitlines() == product_sentences("consideration", table())
    first, second, third, fourth = product_sentences("consideration", table())
    assert first.startswith("On all shown rows, both probabilities multiplied: ")
    assert "calibration 0.610 -> 0.980 +- 0.040, NE -1.98% +- 0.17% against labels" in first
    assert "calibration 0.620 -> 1.000 +- 0.040" in second
    assert "0.940 -> 1.480, which judges nothing" in third
    assert "product 0.600 -> 0.970" in fourth
    assert "weighted rows 0.630 -> 1.010" in fourth


def test_the_students_released_before_are_told_of_by_their_product() -> None:
    before = table().filter(arm="distilled", domain="PRODUCT", reference="label").with_columns(arm=pl.lit("released"))
    *_, last = product_sentences("consideration", pl.concat([table(), before]))
    assert last.startswith("Progressive validation")
    assert "calibration 0.980 +- 0.040, NE -1.98% +- 0.17% against labels." in last


def test_what_was_not_measured_is_not_said() -> None:
    assert product_sentences("consideration", table(a="PRODUCT", b="GIVEN")) == []
    lines = product_sentences("consideration", table(a="GIVEN").with_columns(ne_change=pl.lit(math.nan)))
    assert len(lines) == 3
    assert "NE not measured" in lines[0]
