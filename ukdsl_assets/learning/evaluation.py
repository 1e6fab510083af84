"""The evaluation table: calibration and normalized entropy of every arm and head on withheld requests."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics import calibration, normalized_entropy

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
    "ne": pl.Float64,
    "ne_change": pl.Float64,
}

MEANINGS = {
    "cascade": "the cascade",
    "note": "what data the figures are of",
    "student": "the student",
    "arm": "baseline (labels only) or distilled (labels and teacher)",
    "head": "output that predicts: trained on impressions or on considered rows",
    "domain": "IMP: shown rows; CD: all rows that the teacher labelled",
    "reference": "what predictions are compared with: label, teacher or truth",
    "rows": "withheld rows compared",
    "mean_reference": "mean of the reference",
    "calibration": "mean prediction over mean reference",
    "ne": "normalized entropy; smaller is better",
    "ne_change": "ne over that of the baseline, minus 1",
    "checkpoint": "version of the arm's checkpoint",
}


def evaluate(rows: pl.DataFrame, predictions: Mapping[tuple[str, str], NDArray[np.float32]]) -> pl.DataFrame:
    """Judge predictions on the rows of `teacher_augmented` that are withheld.

    IMP is judged against labels, CD against the teacher, weighted by `weight`; both also against the truth where
    `rows` has a column `truth` that is not all null. A head's NE is compared with the baseline's only head on the
    same domain and reference (ne_change = NE / baseline's NE - 1); the baseline's own change is 0.

    Args:
        rows: columns domain, target, weight and, if the source knows it, truth.
        predictions: (arm, head) -> float32 [rows]; must hold ("baseline", "impression").

    Returns:
        Columns arm, head, domain, reference, rows, mean_reference, calibration, ne, ne_change; figures are NaN where
        undefined.
    """
    references = [("IMP", "label", "target"), ("CD", "teacher", "target")]
    if "truth" in rows.columns and rows["truth"].is_not_null().any():
        references += [("IMP", "truth", "truth"), ("CD", "truth", "truth")]
    table = []
    for domain, reference, column in references:
        chosen = (rows["domain"] == domain).to_numpy()
        y = rows[column].to_numpy()[chosen].astype(np.float64)
        w = rows["weight"].to_numpy()[chosen].astype(np.float64)
        ne = {key: normalized_entropy(p[chosen], y, w) for key, p in predictions.items()}
        base = ne["baseline", "impression"]
        mean_reference = float(w @ y / w.sum()) if w.sum() > 0 else float("nan")
        for (arm, head), p in predictions.items():
            table.append(
                {
                    "arm": arm,
                    "head": head,
                    "domain": domain,
                    "reference": reference,
                    "rows": int(chosen.sum()),
                    "mean_reference": mean_reference,
                    "calibration": calibration(p[chosen], y, w),
                    "ne": ne[arm, head],
                    "ne_change": ne[arm, head] / base - 1,
                }
            )
    texts = dict.fromkeys(("arm", "head", "domain", "reference"), pl.String)
    figures = dict.fromkeys(("mean_reference", "calibration", "ne", "ne_change"), pl.Float64)
    return pl.DataFrame(table, schema={**texts, "rows": pl.Int64, **figures})


def figure(table: pl.DataFrame, column: str, **where: str) -> float:
    """One figure of the evaluation table, e.g. figure(t, "ne", arm="distilled", domain="CD", ...).

    Raises:
        KeyError: when not exactly one row matches.
    """
    found = table.filter(**where)[column]
    if len(found) != 1:
        raise KeyError(f"{len(found)} rows match {where}, expected one")
    return float(found[0])
