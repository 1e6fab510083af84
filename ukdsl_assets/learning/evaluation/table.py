"""The evaluation table: calibration, normalized entropy and AUC of every arm and head on withheld requests."""

from collections.abc import Iterable, Mapping
from functools import partial, reduce
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, IMP, OWN
from ukdsl_assets.declaration.students import SCORED_HEAD
from ukdsl_assets.learning.evaluation.explored import SUMS
from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.learning.evaluation.passes import JudgedShard, Summed, one_pass
from ukdsl_assets.learning.evaluation.predictions import PredictedShards, Predictions, whole
from ukdsl_assets.learning.evaluation.totals import ComparisonKey, Totals, totals_of
from ukdsl_assets.learning.metrics.auc_bins import Curve
from ukdsl_assets.learning.metrics.bootstrap import request_sums, standard_error
from ukdsl_assets.learning.metrics.sums import replicate_totals

# The columns of the table and of `ukdsl run --json`.
COLUMNS: dict[str, Any] = {
    "cascade": pl.String,
    "day": pl.Date,
    "student": pl.String,
    "arm": pl.String,
    "head": pl.String,
    "domain": pl.String,
    "reference": pl.String,
    "rows": pl.Int64,
    "calibration": pl.Float64,
    "calibration_error": pl.Float64,
    "ne": pl.Float64,
    "ne_change": pl.Float64,
    "ne_change_error": pl.Float64,
    "auc": pl.Float64,
    "auc_error": pl.Float64,
    "request_auc": pl.Float64,
    "effective_rows": pl.Float64,
    "recall": pl.Float64,
    "value_share": pl.Float64,
    "days": pl.Int64,
}
# Columns that tables of before they were kept lack, last and nullable; they read as null there.
LATER_FIGURES: dict[str, Any] = {
    **{name: COLUMNS[name] for name in ("effective_rows", "recall", "value_share", "days")},
    SUMS: pl.List(pl.Float64),
}
LATER: dict[str, Any] = {"checkpoint": pl.String, "mean_reference": pl.Float64, "positives": pl.Int64, **LATER_FIGURES}

MEANINGS = {
    "cascade": "the cascade",
    "note": "what data the figures are of",
    "student": "the student",
    "arm": "baseline (labels only), distilled (labels and teacher) or released (the student released before this day)",
    "head": "output that predicts: trained on impressions or on considered rows",
    "domain": "IMP: shown rows with a label; CD: rows that the next stage scored; SCORED: all rows that the student's "
    "stage scored; OWN: those of them that the head itself would hand on; EXPLORED: shown by chance, weighted by 1 / "
    "propensity; EXPLORED_TRAILING: the same of the trailing days together; of a task given another PRODUCT: all shown "
    "rows, by both probabilities multiplied, and GIVEN: CD weighted by what is given",
    "reference": "what predictions are compared with: label, teacher or truth",
    "rows": "withheld rows compared",
    "positives": "positive labels seen among them; null for other references, which are probabilities",
    "mean_reference": "mean of the reference",
    "calibration": "mean prediction over mean reference",
    "calibration_error": "its standard error, by bootstrap over requests",
    "ne": "normalized entropy; smaller is better; undefined on OWN, where every head chooses rows of its own",
    "ne_change": "ne over that of the baseline, minus 1",
    "ne_change_error": "its standard error; both arms are drawn alike",
    "auc": "chance that a positive is predicted above a negative",
    "auc_error": "its standard error, by bootstrap over requests",
    "request_auc": "mean AUC inside a request",
    "checkpoint": "version of the arm's checkpoint",
    "effective_rows": "rows of equal weight that would know as much: (sum w)^2 / sum w^2",
    "recall": "OWN against the truth: share of the ideal choice that the head would hand on too; null elsewhere",
    "value_share": "likewise: share of the ideal choice's sum of bid * truth (without bids of truth)",
    "days": "days that judge, each by checkpoints of its own time; of EXPLORED_TRAILING those with explored rows",
    SUMS: "EXPLORED: what is pooled over days, see `ExploredSums`; null elsewhere",
}


def evaluate(rows: pl.DataFrame, predictions: Predictions, seed: int = 0) -> pl.DataFrame:
    """`evaluate_shards` of rows that are in memory together.

    Args:
        rows: columns request_id, domain, target, weight and, if the source knows it, truth; of one day. Targets of IMP
            exceed 1 where labels are corrected for those that are yet to come. With columns explored and propensity
            EXPLORED is judged. Rows of domain SCORED, all that the student's stage scored of some requests, have
            `_beyond` (Boolean: got beyond the stage), `bid` if there is one, and the teacher's target and weight where
            it labelled them, null else; with these OWN is judged. Of rows whose `_taught` (Boolean, of a day; true
            where there is none) is false, neither SCORED nor OWN is compared with the teacher.
        predictions: (arm, head) -> float32 [rows]; must hold ("baseline", "impression").
        seed: of the bootstrap.
    """
    shards = whole(rows, predictions)
    return evaluate_shards(shards, totals_of(shards, seed), seed)


def evaluate_shards(
    shards: PredictedShards, totals: dict[ComparisonKey, Totals], seed: int = 0, mapped: Mapped = map
) -> pl.DataFrame:
    """Judge predictions on the rows of `teacher_augmented` that are withheld; in memory is one shard at a time.

    IMP is judged against labels, CD against the teacher, weighted by `weight`; both also against the truth where
    `rows` has a column `truth` that is not all null. Of SCORED, OWN and EXPLORED there are the comparisons that
    `totals` has, see `domains.py`. A head's NE is compared with the baseline's only head on the
    same domain and reference (ne_change = NE / baseline's NE - 1); the baseline's own change is 0. On OWN there is
    calibration alone, and how good the choice was: every head chooses rows of its own.

    Standard errors are by bootstrap over requests, the same draws for all arms, so that a change's error is that of
    the difference; that of the AUC is of its first-order expansion. For the AUC, predictions of one of `score_bins`
    are ties.

    Args:
        shards: rows and predictions as in `evaluate`.
        totals: `totals_of` the shards, with the same seed.
        seed: of the bootstrap.
        mapped: as in `totals_of`.

    Returns:
        Columns arm, head, domain, reference, rows and all figures of `COLUMNS`; figures are NaN where undefined.
    """
    curves = curves_of(totals)
    (areas,) = one_pass(shards, seed, [areas_under(curves)], mapped)
    return table_from(totals, curves, areas)


def curves_of(totals: Mapping[ComparisonKey, Totals]) -> dict[ComparisonKey, Curve]:
    """The AUC of each arm and head in each comparison."""
    return {key: of_rows.outcomes.curve() for key, of_rows in totals.items()}


def table_from(
    totals: Mapping[ComparisonKey, Totals], curves: Mapping[ComparisonKey, Curve], areas: Iterable["_Areas"]
) -> pl.DataFrame:
    """`evaluate_shards` from `curves_of` the totals, and the sums `areas_under` these of a pass."""
    found: _Areas = reduce(_both, areas, {})
    table = []
    for (domain, reference, arm, head), of_rows in totals.items():
        # On OWN entropy is undefined, and so is its change; the baseline may have chosen nothing that is judged.
        base = of_rows if domain == OWN else totals[domain, reference, "baseline", "impression"]
        change = of_rows.normalized_entropy / base.normalized_entropy - 1
        target, prediction, entropy = of_rows.drawn.T
        area = found.get((domain, reference, arm, head), np.full(len(target), np.nan))
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = standard_error(np.stack([prediction / target, entropy / base.drawn[:, 2], area], axis=1))
        figures = {
            "mean_reference": of_rows.mean_reference,
            "calibration": of_rows.calibration,
            "calibration_error": float(errors[0]),
            "ne": of_rows.normalized_entropy,
            "ne_change": change,
            "ne_change_error": float(errors[1]) if np.isfinite(change) else float("nan"),
            "auc": curves[domain, reference, arm, head].area,
            "auc_error": float(errors[2]),
            "request_auc": of_rows.request_auc,
        }
        names = {"arm": arm, "head": head, "domain": domain, "reference": reference}
        counts = {"rows": of_rows.rows, "positives": of_rows.positives if reference == "label" else None}
        later = {"effective_rows": of_rows.effective_rows, "recall": of_rows.recall, "value_share": of_rows.value_share}
        sums = None if of_rows.explored is None else of_rows.explored.tolist()
        table.append({**names, **counts, **figures, **later, "days": None, SUMS: sums})
    texts = dict.fromkeys(("arm", "head", "domain", "reference"), pl.String)
    numbers = {**dict.fromkeys(("rows", "positives"), pl.Int64), **dict.fromkeys(figures, pl.Float64)}
    return pl.DataFrame(table, schema={**texts, **numbers, **LATER_FIGURES})


# What each replicate adds to the AUC at first order, float64 [replicates].
_Areas = dict[ComparisonKey, NDArray[np.float64]]


def areas_under(curves: Mapping[ComparisonKey, Curve]) -> Summed:
    """The replicates of the AUCs, of all that is compared but OWN, where order is not judged."""
    return Summed(partial(_areas, dict(curves)), _both)


def _areas(curves: dict[ComparisonKey, Curve], shard: JudgedShard) -> _Areas:
    draws = shard.draws
    by_request: _Areas = {}
    for compared in shard.comparisons:
        for (arm, head), every in shard.predictions.items():
            key = (compared.domain, compared.reference, arm, head)
            if key in curves:
                influence = curves[key].influence(every[compared.chosen], compared.observed, compared.w)
                by_request[key] = request_sums(compared.request, draws.shape[1], influence)
    if not by_request:
        return {}
    # All columns at once: a product of matrices costs as much for one as for many.
    areas = replicate_totals(draws, np.concatenate([*by_request.values()], axis=1))
    return dict(zip(by_request, areas.T, strict=True))


def _both(one: _Areas, other: _Areas) -> _Areas:
    return one | {key: one[key] + areas if key in one else areas for key, areas in other.items()}


def completed(evaluation: pl.DataFrame) -> pl.DataFrame:
    """The evaluation with all columns of today's form, null where its table was made before they existed."""
    missing = {name: dtype for name, dtype in (COLUMNS | LATER).items() if name not in evaluation.columns}
    return evaluation.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in missing.items())


def judging_head(serving: str, domain: str) -> str:
    """The head of a student that a domain is judged by: that of labels on IMP, elsewhere what serves.

    A head `scored` is on the level of all that the stage scored; on CD the head that it was derived from judges.
    """
    if domain == IMP:
        return "impression"
    return "consideration" if (domain, serving) == (CD, SCORED_HEAD) else serving


def days_of(row: Mapping[str, Any], otherwise: int) -> int:
    """How many days judged a row of the table; `otherwise`, those asked for, in tables that do not say so."""
    return int(row.get("days") or otherwise)


def figure(table: pl.DataFrame, column: str, **where: str) -> float:
    """One figure of the evaluation table, e.g. figure(t, "ne", arm="distilled", domain="CD", ...); NaN for null.

    Raises:
        KeyError: when not exactly one row matches.
    """
    values = table.filter(**where)[column]
    if len(values) != 1:
        raise KeyError(f"{len(values)} rows match {where}, expected one")
    return float("nan") if values[0] is None else float(values[0])
