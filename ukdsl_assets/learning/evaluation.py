"""The evaluation table: calibration, normalized entropy and AUC of every arm and head on withheld requests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.learning.bootstrap import replicate_weights, request_sums, standard_error
from ukdsl_assets.learning.metrics import auc_with_influence, calibration, normalized_entropy, request_auc, row_entropy

Predictions = Mapping[tuple[str, str], NDArray[np.float32]]

# The columns of the table and of `ukdsl run --json`.
COLUMNS = {
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
}

MEANINGS = {
    "cascade": "the cascade",
    "note": "what data the figures are of",
    "student": "the student",
    "arm": "baseline (labels only), distilled (labels and teacher) or released (the student released before this day)",
    "head": "output that predicts: trained on impressions or on considered rows",
    "domain": "IMP: shown rows with a label; CD: all rows that the teacher labelled for the student",
    "reference": "what predictions are compared with: label, teacher or truth",
    "rows": "withheld rows compared",
    "mean_reference": "mean of the reference",
    "calibration": "mean prediction over mean reference",
    "calibration_error": "its standard error, by bootstrap over requests",
    "ne": "normalized entropy; smaller is better",
    "ne_change": "ne over that of the baseline, minus 1",
    "ne_change_error": "its standard error; both arms are drawn alike",
    "auc": "chance that a positive is predicted above a negative",
    "auc_error": "its standard error, by bootstrap over requests",
    "request_auc": "mean AUC inside a request",
    "checkpoint": "version of the arm's checkpoint",
}


@dataclass(frozen=True)
class Comparison:
    """One domain against one reference.

    chosen: Boolean [all rows]; y, w, request: reference, weight and number of the request, [chosen rows].
    """

    domain: str
    reference: str
    chosen: NDArray[np.bool_]
    y: NDArray[np.float64]
    w: NDArray[np.float64]
    request: NDArray[np.int64]


def comparisons(rows: pl.DataFrame) -> Iterator[Comparison]:
    """IMP against labels and CD against the teacher; both against the truth where `rows` has it. Rows as `evaluate`."""
    references = [("IMP", "label", "target"), ("CD", "teacher", "target")]
    if "truth" in rows.columns and rows["truth"].is_not_null().any():
        references += [("IMP", "truth", "truth"), ("CD", "truth", "truth")]
    request = request_numbers(rows)
    for domain, reference, column in references:
        # A row of an earlier day, waited for, may have no published truth.
        chosen = ((rows["domain"] == domain) & rows[column].is_not_null()).to_numpy()
        y, w = (rows[name].to_numpy()[chosen].astype(np.float64) for name in (column, "weight"))
        yield Comparison(domain, reference, chosen, y, w, request[chosen])


def request_numbers(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Position of each row's request among the sorted distinct requests, int64 [rows]."""
    return rows["request_id"].rank("dense").to_numpy().astype(np.int64) - 1


def evaluate(rows: pl.DataFrame, predictions: Predictions, seed: int = 0) -> pl.DataFrame:
    """Judge predictions on the rows of `teacher_augmented` that are withheld.

    IMP is judged against labels, CD against the teacher, weighted by `weight`; both also against the truth where
    `rows` has a column `truth` that is not all null. A head's NE is compared with the baseline's only head on the
    same domain and reference (ne_change = NE / baseline's NE - 1); the baseline's own change is 0.

    Standard errors are by bootstrap over requests, the same draws for all arms, so that a change's error is that of
    the difference; that of the AUC is of its first-order expansion.

    Args:
        rows: columns request_id, domain, target, weight and, if the source knows it, truth; of one day. Targets of IMP
            exceed 1 where labels are corrected for those that are yet to come.
        predictions: (arm, head) -> float32 [rows]; must hold ("baseline", "impression").
        seed: of the bootstrap.

    Returns:
        Columns arm, head, domain, reference, rows and all figures of `COLUMNS`; figures are NaN where undefined.
    """
    draws = replicate_weights(rows["request_id"].n_unique(), seed)
    table = []
    for compared in comparisons(rows):
        y, w, chosen = compared.y, compared.w, compared.chosen
        # A corrected label exceeds 1, which no share of a positive can; orders are judged by labels as seen.
        seen = np.minimum(y, 1)
        mean_reference = float(w @ y / w.sum()) if w.sum() > 0 else float("nan")
        base_p = predictions["baseline", "impression"][chosen].astype(np.float64)
        base, base_entropy = normalized_entropy(base_p, y, w), w * row_entropy(base_p, y)
        for (arm, head), every in predictions.items():
            p = every[chosen].astype(np.float64)
            ne = normalized_entropy(p, y, w)
            area, influence = auc_with_influence(p, seen, w)
            columns = (w * p, w * y, w * row_entropy(p, y), base_entropy, influence)
            drawn = (draws @ request_sums(compared.request, draws.shape[1], *columns)).T
            with np.errstate(invalid="ignore", divide="ignore"):
                errors = standard_error(np.stack([drawn[0] / drawn[1], drawn[2] / drawn[3], drawn[4]], axis=1))
            figures = {
                "mean_reference": mean_reference,
                "calibration": calibration(p, y, w),
                "calibration_error": float(errors[0]),
                "ne": ne,
                "ne_change": ne / base - 1,
                "ne_change_error": float(errors[1]) if np.isfinite(ne / base) else float("nan"),
                "auc": area,
                "auc_error": float(errors[2]),
                "request_auc": request_auc(p, seen, compared.request, w),
            }
            names = {"arm": arm, "head": head, "domain": compared.domain, "reference": compared.reference}
            table.append({**names, "rows": int(chosen.sum()), **figures})
    texts = dict.fromkeys(("arm", "head", "domain", "reference"), pl.String)
    return pl.DataFrame(table, schema={**texts, "rows": pl.Int64, **dict.fromkeys(figures, pl.Float64)})


def figure(table: pl.DataFrame, column: str, **where: str) -> float:
    """One figure of the evaluation table, e.g. figure(t, "ne", arm="distilled", domain="CD", ...); NaN for null.

    Raises:
        KeyError: when not exactly one row matches.
    """
    found = table.filter(**where)[column]
    if len(found) != 1:
        raise KeyError(f"{len(found)} rows match {where}, expected one")
    return float("nan") if found[0] is None else float(found[0])
