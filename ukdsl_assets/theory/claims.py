"""What section 3 claims, judged on the tables of `theory.tables`; claims about levels are judged on what was drawn."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.gates import GateResult, demand

# How far drawing may be from the closed form: an absolute bound, and a bound in standard errors.
MOST_DIFFERENCE, MOST_ERRORS = 1e-3, 5.0

# They read no log and no declaration.
_FIX = "compare the versions of numpy and scipy with constraints.txt; if they agree, it is a fault of ours: report it."
_BIAS_CLAIMS = {
    "drawing_agrees_with_the_closed_form": "Drawn calibrations are within 0.001 and five standard errors of it.",
    "larger_noise_promises_more_and_earns_less": "At every k the prediction rises with the noise, the truth falls.",
    "the_selected_are_over_predicted": "A model that errs around the truth over-predicts on what it selects.",
    "nested_bayes_is_calibrated": "A model whose prediction is the mean of the truth given what it knows does not.",
}
_STAGE_CLAIMS = {
    "drawing_agrees_with_the_closed_form": "Drawn calibrations on S_1 are within 0.001 and five standard errors.",
    "drawing_agrees_with_the_quadrature": "So are those on S_2.",
    "stage_1_over_predicts_on_s_1": "Figure 2 a, b: stage 1 is above the truth on S_1, more so the larger its noise.",
    "stage_2_calibrated_when_errors_are_independent": "Figure 2 c: stage 2 agrees with the truth on S_1.",
    "correlated_errors_hide_in_the_cross_stage_ratio": "Stage 2 is too high too; the ratio shows less than is wrong.",
    "stage_2_over_predicts_on_its_own_selection": "What holds for stage 1 on S_1 holds for stage 2 on S_2.",
}
BIAS_CLAIMS = {name: demand(what, _FIX) for name, what in _BIAS_CLAIMS.items()}
STAGE_CLAIMS = {name: demand(what, _FIX) for name, what in _STAGE_CLAIMS.items()}


def judge_bias(table: pl.DataFrame) -> list[GateResult]:
    """The claims `BIAS_CLAIMS`, in their order, on the table `selection_bias_curves`."""
    classical, nested = (table.filter(law=law) for law in ("classical", "nested"))
    some = classical.filter(pl.col("k") < pl.col("n"))
    prediction, truth = (_by_noise(some, name, "tau", "k") for name in ("drawn_prediction", "drawn_truth"))
    rises, falls = float(np.diff(prediction, axis=0).min()), float(np.diff(truth, axis=0).max())
    lowest = float((some["drawn_calibration"] - 2 * some["drawn_calibration_error"]).min())  # type: ignore[arg-type]
    return [
        _agreement("drawing_agrees_with_the_closed_form", table, ["calibration"]),
        _verdict(
            "larger_noise_promises_more_and_earns_less",
            rises > 0 > falls,
            f"from one noise level to the next the drawn prediction changes by {rises:+.4f} at least, the drawn truth "
            f"by {falls:+.4f} at most; expected above and below 0",
            {"least_rise": rises, "largest_change_of_truth": falls},
        ),
        _verdict(
            "the_selected_are_over_predicted",
            lowest > 1,
            f"smallest drawn calibration less two standard errors, for k < n: {lowest:.4f}; expected above 1",
            {"lowest": lowest},
        ),
        _near_one("nested_bayes_is_calibrated", nested, "calibration"),
    ]


def judge_stages(table: pl.DataFrame) -> list[GateResult]:
    """The claims `STAGE_CLAIMS`, in their order, on the table `two_stage_calibration`."""
    names = ["stage_1_calibration", "stage_2_calibration", "cross_stage_calibration"]
    on_s1, on_s2 = table.filter(pl.col("k2").is_null()), table.filter(pl.col("k2").is_not_null())
    some = on_s1.filter(pl.col("k1") < pl.col("n"), pl.col("law") == "classical")
    independent, correlated = some.filter(rho=0.0), some.filter(pl.col("rho") > 0)
    levels = _by_noise(independent, "drawn_stage_1_calibration", "tau1", "k1")
    least, steps = float(levels.min()), float(np.diff(levels, axis=0).min())
    second = float(correlated["drawn_stage_2_calibration"].min())  # type: ignore[arg-type]
    gaps = correlated["drawn_stage_1_calibration"] - correlated["drawn_cross_stage_calibration"]
    hidden = float(gaps.min())  # type: ignore[arg-type]
    own = float(on_s2.filter(law="classical")["drawn_stage_2_calibration"].min())  # type: ignore[arg-type]
    return [
        _agreement("drawing_agrees_with_the_closed_form", on_s1, names),
        _agreement("drawing_agrees_with_the_quadrature", on_s2, names),
        _verdict(
            "stage_1_over_predicts_on_s_1",
            least > 1 and steps > 0,
            f"smallest drawn calibration for k1 < n: {least:.4f}, expected above 1; smallest rise from one noise level "
            f"to the next: {steps:+.4f}, expected above 0",
            {"lowest": least, "least_rise": steps},
        ),
        _near_one("stage_2_calibrated_when_errors_are_independent", independent, "stage_2_calibration"),
        _verdict(
            "correlated_errors_hide_in_the_cross_stage_ratio",
            second > 1 and hidden > 0,
            f"with correlated errors stage 2's drawn calibration is {second:.4f} at least, expected above 1; stage 1's "
            f"exceeds the cross-stage one by {hidden:.4f} at least, expected above 0",
            {"lowest_of_stage_2": second, "least_hidden": hidden},
        ),
        _verdict(
            "stage_2_over_predicts_on_its_own_selection",
            own > 1,
            f"stage 2's smallest drawn calibration on S_2: {own:.4f}; expected above 1",
            {"lowest": own},
        ),
    ]


def _agreement(name: str, table: pl.DataFrame, columns: Sequence[str]) -> GateResult:
    exact, drawn, error = (
        table.select(pattern.format(column) for column in columns).to_numpy()
        for pattern in ("{}", "drawn_{}", "drawn_{}_error")
    )
    difference = np.abs(exact - drawn)
    # Where everything is selected nothing scatters; what is left is rounding of float32 sums.
    worst, errors = float(difference.max()), float((difference / np.maximum(error, 1e-6)).max())
    return _verdict(
        name,
        worst <= MOST_DIFFERENCE and errors <= MOST_ERRORS,
        f"largest difference {worst:.6f}, expected at most {MOST_DIFFERENCE}; at most {errors:.1f} standard errors, "
        f"expected at most {MOST_ERRORS:g}; {difference.size} figures",
        {"largest_difference": worst, "largest_in_standard_errors": errors, "figures": difference.size},
    )


def _near_one(name: str, table: pl.DataFrame, column: str) -> GateResult:
    worst = float((table[f"drawn_{column}"] - 1).abs().max())  # type: ignore[arg-type]
    return _verdict(
        name,
        worst <= MOST_DIFFERENCE,
        f"drawn calibrations differ from 1 by at most {worst:.6f}; expected at most {MOST_DIFFERENCE}",
        {"largest_difference": worst},
    )


def _by_noise(table: pl.DataFrame, column: str, noise: str, count: str) -> NDArray[np.float64]:
    """[noise levels, selected], both ascending."""
    return table.sort(noise, count)[column].to_numpy().reshape(table[noise].n_unique(), -1)


def _verdict(name: str, passed: bool, message: str, figures: dict[str, float | int]) -> GateResult:
    return GateResult(name=name, passed=bool(passed), message=message, seen=figures)
