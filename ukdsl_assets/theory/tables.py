"""Section 3 as two tables: closed forms and quadratures beside what was drawn."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ukdsl_assets.theory.monte_carlo import Drawn, draw_selected_by_stage_1, draw_selected_by_stage_2
from ukdsl_assets.theory.one_stage import Selected, classical_selection, nested_selection
from ukdsl_assets.theory.order_statistics import blom_top, expected_top
from ukdsl_assets.theory.own_selection import selected_by_stage_2
from ukdsl_assets.theory.two_stages import Means, TwoStages, classical_stages, nested_stages, selected_by_stage_1

MU, SIGMA, CANDIDATES = 1.0, 0.3, 300
# Standard deviations of stage 1's error over that of the truth; stage 2 errs half as much.
NOISE = (0.5, 1.0, 1.5)
CORRELATION = 0.5
SELECTED = tuple(int(k) for k in np.unique(np.geomspace(6, CANDIDATES, 15).round()))
# Of those, where stage 2's own selection is looked at too; it keeps a quarter.
ALSO_STAGE_2 = (24, 74)
CALIBRATIONS = ("stage_1_calibration", "stage_2_calibration", "cross_stage_calibration")

BIAS_MEANINGS = {
    "law": "classical: the prediction errs around the truth; nested: the truth errs around the prediction",
    "tau": "standard deviation of the error, in units of that of the truth",
    "n": "candidates",
    "k": "of them selected, by their prediction",
    "zbar": "mean of the k largest of n expected order statistics",
    "zbar_blom": "the same by Blom's approximation",
    "prediction": "expected mean prediction of the selected; the mean truth of all is 1, its standard deviation 0.3",
    "truth": "their expected mean truth",
    "optimum": "expected mean truth of the k best",
    "calibration": "prediction over truth",
    "drawn_prediction": "mean prediction of the selected, drawn",
    "drawn_truth": "their mean truth, drawn",
    "drawn_calibration": "calibration, drawn",
    "drawn_calibration_error": "its standard error",
}
STAGE_MEANINGS = {
    "law": BIAS_MEANINGS["law"],
    "tau1": "standard deviation of stage 1's error, in units of that of the truth",
    "tau2": "of stage 2's error",
    "rho": "correlation of the two errors",
    "n": "candidates",
    "k1": "kept by stage 1",
    "k2": "of them kept by stage 2; null: not selected by stage 2",
    "truth": "expected mean truth of the kept; of all it is 1, with standard deviation 0.3",
    "stage_1": "expected mean prediction of stage 1",
    "stage_2": "of stage 2",
    "stage_1_calibration": "stage 1 over the truth",
    "stage_2_calibration": "stage 2 over the truth",
    "cross_stage_calibration": "stage 1 over stage 2",
    **{f"drawn_{name}": "the same, drawn" for name in CALIBRATIONS},
    **{f"drawn_{name}_error": "its standard error" for name in CALIBRATIONS},
}


@dataclass(frozen=True)
class Setting:
    """A law of the two stages and its parameters; taus in units of the truth's standard deviation."""

    law: str
    tau1: float
    tau2: float
    rho: float

    @property
    def stages(self) -> TwoStages:
        """The joint law."""
        tau1, tau2 = self.tau1 * SIGMA, self.tau2 * SIGMA
        if self.law == "nested":
            return nested_stages(MU, SIGMA, tau1, tau2)
        return classical_stages(MU, SIGMA, tau1, tau2, self.rho)


# Independent errors as in figure 2, correlated ones, and the contrast.
SETTINGS = (
    *(Setting("classical", noise, noise / 2, 0.0) for noise in NOISE),
    Setting("classical", 1.0, 0.5, CORRELATION),
    Setting("nested", 0.8, 0.4, 0.0),
)


def selection_bias_curves(repeats: int, seed: int) -> pl.DataFrame:
    """Equation 1 by k and noise; columns `BIAS_MEANINGS`, sorted by law, tau and k.

    Args:
        repeats: draws of all candidates, for each law and noise.
        seed: of the draws.
    """
    k = np.array(SELECTED)
    parts = []
    for law, tau in [*(("classical", noise) for noise in NOISE), ("nested", 0.5), ("nested", 0.8)]:
        select = nested_selection if law == "nested" else classical_selection
        exact: Selected = select(MU, SIGMA, tau * SIGMA, CANDIDATES, k)
        # Of the two stages the first is the one; the second knows the truth.
        drawn = draw_selected_by_stage_1(Setting(law, tau, 0.0, 0.0).stages, CANDIDATES, SELECTED, repeats, seed)
        parts.append(
            pl.DataFrame(
                {
                    "law": [law] * len(k),
                    "tau": [tau] * len(k),
                    "n": [CANDIDATES] * len(k),
                    "k": k,
                    "zbar": expected_top(k, CANDIDATES),
                    "zbar_blom": blom_top(k, CANDIDATES),
                    "prediction": exact.prediction,
                    "truth": exact.truth,
                    "optimum": exact.optimum,
                    "calibration": exact.calibration,
                    "drawn_prediction": drawn.means.stage_1,
                    "drawn_truth": drawn.means.truth,
                    "drawn_calibration": drawn.means.stage_1_calibration,
                    "drawn_calibration_error": drawn.calibration_error[0],
                }
            )
        )
    return pl.concat(parts)


def two_stage_calibration(repeats: int, seed: int) -> pl.DataFrame:
    """Equation 2 and figure 2 by setting and k1, on S_1 (k2 null) and S_2; columns `STAGE_MEANINGS`; args as above."""
    rows = [row for setting in SETTINGS for row in _of_setting(setting, repeats, seed)]
    return pl.DataFrame(rows, schema_overrides={"k2": pl.Int64})


def _of_setting(setting: Setting, repeats: int, seed: int) -> Iterator[dict[str, Any]]:
    stages = setting.stages
    exact = selected_by_stage_1(stages, CANDIDATES, SELECTED)
    drawn = draw_selected_by_stage_1(stages, CANDIDATES, SELECTED, repeats, seed)
    for place, k1 in enumerate(SELECTED):
        yield _row(setting, k1, None, exact, drawn, place)
    for k1 in ALSO_STAGE_2:
        k2 = k1 // 4
        again = draw_selected_by_stage_2(stages, CANDIDATES, k1, k2, repeats, seed)
        yield _row(setting, k1, k2, selected_by_stage_2(stages, CANDIDATES, k1, k2), again, 0)


def _row(setting: Setting, k1: int, k2: int | None, exact: Means, drawn: Drawn, place: int) -> dict[str, Any]:
    def at(values: Any) -> float:
        return float(np.atleast_1d(values)[place])

    figures: Mapping[str, float] = {
        **{name: at(getattr(exact, name)) for name in ("truth", "stage_1", "stage_2", *CALIBRATIONS)},
        **{f"drawn_{name}": at(getattr(drawn.means, name)) for name in CALIBRATIONS},
        **{f"drawn_{n}_error": at(error) for n, error in zip(CALIBRATIONS, drawn.calibration_error, strict=True)},
    }
    return {**vars(setting), "n": CANDIDATES, "k1": k1, "k2": k2, **figures}
