"""Importance of candidate features on shown and on considered rows, averaged over trainings, as tables."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.selection.importance.importance import (
    Asked,
    Importance,
    student_importance,
    student_importances,
)
from ukdsl_assets.selection.rules.clusters import clusters, likeness
from ukdsl_assets.selection.rules.scores import Scores
from ukdsl_assets.selection.sampled_rows import SAMPLED_DOMAINS, sample

MEANINGS = {
    "feature": "the candidate",
    "cluster": "number of the cluster of alike features; one that is like no other has its own",
    "score": "rise of NE when the feature is permuted; mean over repeats and trainings",
    "standard_error": "its standard error, over rows, permutations and trainings",
    "rank": "1 is the most important",
    "sign": "positive or negative at two standard errors, else none",
    "cluster_score": "rise of NE when all features of the cluster are permuted together",
    "cluster_standard_error": "its standard error",
    "base_ne": "NE without permutation, mean over trainings",
    "rows": "withheld rows",
    "repeats": "permutations of each feature and training",
    "trainings": "trainings of the simplified student",
    "head": "output that predicts",
    "reference": "what predictions are compared with: label or teacher",
    "likeness": "likeness to each candidate, in the order of the rows",
}


def importance_tables(
    students: Sequence[FittedStudent],
    rows: pl.DataFrame,
    features: tuple[Feature, ...],
    selection: Selection,
    seed: int = 0,
    threads: int = 1,
    log: Callable[[str], None] | None = None,
    mapped: Mapped | None = None,
) -> dict[str, pl.DataFrame]:
    """The tables impression_importance and consideration_importance by domain (IMP, CD), one row a candidate.

    Shown rows are judged by the first head against labels, considered rows by the serving head against the teacher.
    Features that are alike on considered rows are also permuted together (see `clusters`).

    Args:
        students: trainings of the simplified student; at least one.
        rows: withheld rows of teacher_augmented, sorted by request_id; at most `selection.rows` of each domain are
            used, whole requests chosen by the seed.
        features: the candidates, in declared order.
        mapped: works on pieces of the rows in other processes; None: in `threads` of this one, to the same bits.

    Returns:
        Columns as in `MEANINGS`. Scores are NaN where a domain has no rows or its targets are all the same.
    """
    parts = {domain: sample(rows.filter(domain=domain), selection.rows, seed) for domain in SAMPLED_DOMAINS}
    alike = likeness(parts[CD], features, seed)
    cluster = clusters(alike)
    groups = {feature.name: [feature.name] for feature in features}
    # Where the importance of each feature's cluster stands among the groups: a cluster of one is permuted only once.
    of_cluster = np.arange(len(features))
    for number in range(cluster.max(initial=-1) + 1):
        places = np.flatnonzero(cluster == number)
        if len(places) > 1:
            of_cluster[places] = len(groups)
            # Declared names hold no blank, so names cannot clash.
            groups[f"cluster {number}"] = [features[at].name for at in places]
    heads = {IMP: (students[0].heads[0], "label"), CD: (students[0].trained_heads[-1], "teacher")}
    asked = [
        Asked(each, parts[domain], groups, head, selection.repeats, seed + training)
        for domain, (head, _) in heads.items()
        for training, each in enumerate(students)
    ]
    if mapped is None:
        every = [student_importance(**vars(each), threads=threads, log=log) for each in asked]
    else:
        every = student_importances(asked, mapped, log)
    tables = {}
    for number, (domain, (head, reference)) in enumerate(heads.items()):
        measured = every[number * len(students) : (number + 1) * len(students)]
        score, error = averaged(measured)
        names = [feature.name for feature in features]
        own = np.arange(len(names))
        order = np.lexsort([np.array(names), -np.nan_to_num(score[own], nan=-np.inf)])
        tables[domain] = pl.DataFrame(
            {
                "feature": names,
                "cluster": cluster.astype(np.int32),
                "score": score[own],
                "standard_error": error[own],
                "rank": (np.argsort(order) + 1).astype(np.int32),
                "sign": [_sign(*each) for each in zip(score[own], error[own], strict=True)],
                "cluster_score": score[of_cluster],
                "cluster_standard_error": error[of_cluster],
                "base_ne": np.full(len(names), np.mean([each.base for each in measured])),
                "rows": np.full(len(names), len(parts[domain]), np.int64),
                "repeats": np.full(len(names), selection.repeats, np.int32),
                "trainings": np.full(len(names), len(students), np.int32),
                "head": [head] * len(names),
                "reference": [reference] * len(names),
                "likeness": pl.Series(alike.tolist(), dtype=pl.List(pl.Float64)),
            }
        )
    return tables


def averaged(measured: Sequence[Importance]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean score over trainings and its standard error, float64 [groups] each.

    Trainings share their rows, so the error of rows and permutations does not shrink with their number; that of the
    training does, and is known only from two trainings on.
    """
    scores = np.stack([each.score for each in measured])
    error = np.mean([each.standard_error**2 for each in measured], axis=0)
    if len(measured) > 1:
        error = error + scores.var(axis=0, ddof=1) / len(measured)
    return scores.mean(axis=0), np.sqrt(error)


def scores_from(tables: Mapping[str, pl.DataFrame], features: Sequence[Feature]) -> Scores:
    """What the rules read, from both tables.

    Args:
        tables: by domain, of `importance_tables`. features: the candidates, in declared order.
    """
    shown, considered = tables[IMP], tables[CD]
    _, first = np.unique(considered["cluster"].to_numpy(), return_index=True)
    n = len(features)
    return Scores(
        names=tuple(considered["feature"]),
        impression=shown["score"].to_numpy(),
        consideration=considered["score"].to_numpy(),
        cost=np.array([feature.cost for feature in features], dtype=np.float64),
        cluster=considered["cluster"].to_numpy().astype(np.int64),
        cluster_impression=shown["cluster_score"].to_numpy()[first],
        cluster_consideration=considered["cluster_score"].to_numpy()[first],
        likeness=np.array(considered["likeness"].to_list(), dtype=np.float64).reshape(n, n),
    )


def _sign(score: float, error: float) -> str:
    if not abs(score) > 2 * error:
        return "none"
    return "positive" if score > 0 else "negative"
