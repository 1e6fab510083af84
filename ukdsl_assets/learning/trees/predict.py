"""Predictions of trained trees: by the compiled kernel where it takes the model, else by LightGBM.

The kernel's sum over the trees is LightGBM's own, bit by bit: the same doubles are added in the order of the trees. So
are predictions of objectives whose prediction is the sum. Probabilities are too where both take the exponential from
one C library, as was so on Linux where it was tried; elsewhere they are within two units in the last place.

Float32 columns are read as LightGBM reads a float32 matrix: numbers of at most 1e-35 in size are 0, categories lose
their fraction, and NaN and categories that are in no split go where LightGBM sends them.

LightGBM predicts itself, and `Scorer.of` says why, for: several classes, random forests, linear trees, objectives whose
prediction is another function of the sum (poisson, gamma, tweedie, cross_entropy_lambda, a regression on square roots)
and features whose splits have more than 65,534 thresholds or categories, or whose table of decisions would be too large
(`coding.MOST_DECISIONS`).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.coding import codings
from ukdsl_assets.learning.trees.layout import Layout, layout_of
from ukdsl_assets.learning.trees.model import UnsupportedTreesError, read_trees

# Rows of a part, whose columns and codes stay in the processor's cache from one to the other.
PART = 16_384
# Models whose layout is kept, a few megabytes each: the tasks and folds of some teachers.
KEPT = 16
# Objectives whose prediction is the sum of the trees; "" is one that was given as a function.
SUMS = {"", "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg"}


@dataclass(frozen=True)
class Scorer:
    """A model that is laid out for the kernel.

    numbers, categories: of the features of each kind that some node asks for, number of the column and table of codes,
    see `codes`. slope: of the sum in the probability's exponent; None where the sum is the prediction.
    """

    layout: Layout
    features: int
    numbers: tuple[tuple[int, Any], ...]
    categories: tuple[tuple[int, Any], ...]
    slope: float | None

    @classmethod
    def of(cls, text: str) -> "Scorer":
        """Of LightGBM's text of a model.

        Raises:
            UnsupportedTreesError: where the kernel does not take the model, with the reason.
        """
        from ukdsl_assets.learning.trees.codes import table_of

        trees = read_trees(text)
        slope = _slope(trees.objective)
        coding = codings(trees)
        layout = layout_of(trees, coding)
        tables = [(place, table_of(each), each.categorical) for place, each in enumerate(coding) if len(each.nodes)]
        numbers, categories = (
            tuple((place, table) for place, table, categorical in tables if categorical is wanted)
            for wanted in (False, True)
        )
        return cls(layout, trees.features, numbers, categories, slope)

    def sums(self, columns: Sequence[NDArray[np.float32]], threads: int = 1) -> NDArray[np.float64]:
        """The sum over the trees, float64 [rows]; columns: float32 [rows], all features of the model in order."""
        from ukdsl_assets.learning.trees.codes import write_rows
        from ukdsl_assets.learning.trees.kernel import add_scores

        rows = len(columns[0])
        score = np.zeros(rows)

        def part(first: int) -> None:
            here = slice(first, min(first + PART, rows))
            count = here.stop - first
            numbers = np.empty((len(self.numbers), count), self.layout.low.dtype)
            categories = np.empty((len(self.categories), count), np.uint16)
            for tables, codes in ((self.numbers, numbers), (self.categories, categories)):
                write_rows([table for _, table in tables], [columns[place][here] for place, _ in tables], codes)
            add_scores(self.layout, numbers, categories, score[here])

        firsts = range(0, rows, PART)
        if threads == 1 or len(firsts) == 1:
            for first in firsts:
                part(first)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(part, firsts))
        return score

    def predict(self, columns: Sequence[NDArray[np.float32]], threads: int = 1) -> NDArray[np.float64]:
        """What `Booster.predict` gives, float64 [rows]."""
        score = self.sums(columns, threads)
        if self.slope is not None:
            from ukdsl_assets.learning.trees.kernel import to_probability

            to_probability(score, self.slope)
        return score


def predict_columns(text: str, columns: Sequence[NDArray[np.float32]], threads: int = 1) -> NDArray[np.float64]:
    """What LightGBM predicts by a model's text, float64 [rows]; no rows give none.

    Args:
        columns: float32 [rows], all features of the model in order; columns of a matrix will do.

    Raises:
        ValueError: for another number of columns than the model has features.
    """
    predict, features = _predictor(text)
    if len(columns) != features:
        raise ValueError(f"{len(columns)} columns for a model of {features} features")
    return predict(columns, threads) if len(columns[0]) else np.empty(0)


@lru_cache(KEPT)
def _predictor(text: str) -> tuple[Callable[[Sequence[NDArray[np.float32]], int], NDArray[np.float64]], int]:
    try:
        scorer = Scorer.of(text)
    except UnsupportedTreesError:
        return _by_lightgbm(text)
    return scorer.predict, scorer.features


def _by_lightgbm(text: str) -> tuple[Callable[[Sequence[NDArray[np.float32]], int], NDArray[np.float64]], int]:
    import lightgbm

    booster = lightgbm.Booster(model_str=text)

    def predict(columns: Sequence[NDArray[np.float32]], threads: int) -> NDArray[np.float64]:
        return np.asarray(booster.predict(np.stack(list(columns), axis=1), num_threads=threads), np.float64)

    return predict, booster.num_feature()


def _slope(objective: str) -> float | None:
    name, *parameters = objective.split() or [""]
    if name == "binary":
        return float(next(each for each in parameters if each.startswith("sigmoid:")).removeprefix("sigmoid:"))
    if name == "cross_entropy":
        return 1.0
    if name not in SUMS or "sqrt" in parameters:
        raise UnsupportedTreesError(f"objective {objective}")
    return None
