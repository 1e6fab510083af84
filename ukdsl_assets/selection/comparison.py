"""Table 2 of the paper: students with the features of each rule, judged against impression importance alone."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.evaluation.comparisons import JudgedRows, comparisons
from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.learning.metrics.bootstrap import draws_of, request_sums, standard_error
from ukdsl_assets.learning.metrics.calibration import normalized_entropy, row_entropy
from ukdsl_assets.learning.metrics.sums import replicate_totals
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import Predictor, predictor
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.training.rows import Reader
from ukdsl_assets.selection.choice import RULE_SIZES
from ukdsl_assets.selection.simplified import simplified, with_features

BASELINE = ("impression", "equal")
# What predictions are compared with, and by.
KEPT_COLUMNS = ("request_id", "domain", "target", "weight", "truth")
# (rule, size) -> domain -> probabilities [rows]; see `compared`.
RulePredictions = Mapping[tuple[str, str], Mapping[str, NDArray[np.float32]]]

MEANINGS = {
    "rule": "the rule; `impression` is the usual one that the others are compared with",
    "size": "natural: as many features as the rule finds (union: more than the budget); equal: the budget is kept; "
    "union: as many as the natural union has, its control",
    "domain": "IMP: shown rows; CD: considered rows",
    "reference": "what predictions are compared with: label, teacher or truth",
    "head": "output that predicts",
    "features": "how many features the rule chose",
    "cost": "what they cost in all",
    "selected": "whether they are what the declared rule chose",
    "rows": "withheld rows compared",
    "ne": "normalized entropy of a student that was trained anew with these features; smaller is better",
    "ne_change": "ne over that of `impression` at equal size, minus 1",
    "ne_change_error": "its standard error by bootstrap over requests; that of training is not in it",
}


def marked(table: pl.DataFrame) -> dict[tuple[str, str], tuple[str, ...]]:
    """What each rule chose, in declared order, from the table feature_union; rules that chose nothing are left out."""
    by_rule = {key: tuple(table.filter(pl.col("_".join(key)))["feature"]) for key in RULE_SIZES}
    return {key: names for key, names in by_rule.items() if names}


def compare_rules(
    cascade: Cascade,
    student: Student,
    choices: Mapping[tuple[str, str], tuple[str, ...]],
    rows: pl.DataFrame | Sequence[Reader],
    held: Sequence[Reader],
    threads: int = 1,
    log: Callable[[str], None] | None = None,
    mapped: Mapped = map,
) -> pl.DataFrame:
    """Trains a distilled student from the start with each choice, all alike but for the features, and judges them.

    Args:
        choices: of `marked`; must hold impression at equal size. Equal choices share a training.
        rows: training rows of teacher_augmented, sorted by request_id, none withheld; or what reads a shard of them
            each.
        held: what reads a shard of withheld rows each, with a column `truth` where the source knows it; of each are
            kept predictions and what they are compared with.
        mapped: reads and scores them, here or elsewhere.

    Returns:
        A row for each rule, size, domain and reference; columns as in `MEANINGS`.
    """
    base = simplified(cascade, student, 0)
    predictors: dict[tuple[str, ...], Predictor] = {}
    for names in dict.fromkeys(choices.values()):
        fitted = fit_student(
            Training.of(cascade, with_features(base, names), "distilled", rows, threads=threads)
        ).student
        predictors[names] = predictor(fitted, threads)
        if log:
            log(f"{student.name}: {len(predictors)} of {len(set(choices.values()))} selections trained")
    heads = {IMP: student.served_heads[0], CD: student.trained_heads[-1]}
    kept, parts = zip(*mapped(partial(_scored, predictors, tuple(heads.values())), held), strict=True)
    predicted = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    by_rule = {
        key: {domain: predicted[names, head] for domain, head in heads.items()} for key, names in choices.items()
    }
    cost = {feature.name: feature.cost for feature in cascade.features}
    chosen = choices[selection_key(student)]
    described = [
        {
            "rule": rule,
            "size": size,
            "features": len(names),
            "cost": float(sum(cost[name] for name in names)),
            "selected": names == chosen,
        }
        for (rule, size), names in choices.items()
    ]
    table = compared(pl.concat(kept), by_rule, student.seed)
    table = table.with_columns(pl.col("domain").replace_strict(heads, return_dtype=pl.String).alias("head"))
    return table.join(pl.DataFrame(described), on=["rule", "size"], how="left", maintain_order="left").select(*MEANINGS)


def _scored(
    predictors: Mapping[tuple[str, ...], Predictor], heads: Sequence[str], read: Reader
) -> tuple[pl.DataFrame, dict[tuple[tuple[str, ...], str], NDArray[np.float32]]]:
    """What a shard is judged by, and predictions by features and head."""
    shard = read()
    kept = shard.select(name for name in KEPT_COLUMNS if name in shard.columns)
    predictions = {names: predict(shard) for names, predict in predictors.items()}
    return kept, {(names, head): of[head] for names, of in predictions.items() for head in heads}


def selection_key(student: Student) -> tuple[str, str]:
    """The declared rule as it is used, at equal size."""
    assert student.selection is not None
    return student.selection.rule, "equal"


def compared(held: pl.DataFrame, predictions: RulePredictions, seed: int = 0) -> pl.DataFrame:
    """NE of each rule's predictions, and its change against `BASELINE` with the error of the difference.

    Args:
        held: columns request_id, domain, target, weight and, where it is known, truth.
        predictions: (rule, size) -> domain -> float32 [rows of held]; must hold `BASELINE`.
        seed: of the bootstrap over requests; all rules are drawn alike.
    """
    draws = draws_of(held, seed)
    rows = []
    for each in comparisons(JudgedRows(held)):
        base = predictions[BASELINE][each.domain][each.chosen].astype(np.float64)
        base_ne, base_entropy = normalized_entropy(base, each.y, each.w), each.w * row_entropy(base, each.y)
        for (rule, size), by_domain in predictions.items():
            p = by_domain[each.domain][each.chosen].astype(np.float64)
            ne = normalized_entropy(p, each.y, each.w)
            sums = request_sums(each.request, draws.shape[1], each.w * row_entropy(p, each.y), base_entropy)
            drawn = replicate_totals(draws, sums)
            with np.errstate(invalid="ignore", divide="ignore"):
                error = standard_error(drawn[:, 0] / drawn[:, 1])
            rows.append(
                {
                    "rule": rule,
                    "size": size,
                    "domain": each.domain,
                    "reference": each.reference,
                    "rows": int(each.chosen.sum()),
                    "ne": ne,
                    "ne_change": ne / base_ne - 1,
                    "ne_change_error": float(error) if np.isfinite(ne / base_ne) else float("nan"),
                }
            )
    return pl.DataFrame(rows)
