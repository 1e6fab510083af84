"""Every rule of feature selection on one data set: importance, choices, and students trained with each choice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.study import Rows, TableOf
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.selection.choice import choices
from ukdsl_assets.selection.comparison import compare_rules
from ukdsl_assets.selection.rules.scores import Budget, Scores
from ukdsl_assets.selection.simplified import selection_of, simplified
from ukdsl_assets.selection.tables import importance_tables, scores_from

RULE_KEYS = ("data", "rule", "size")
# Data and what predictions on it are compared with.
PLACES = ((IMP, "label"), (IMP, "truth"), (CD, "teacher"), (CD, "truth"))
FIGURES = {"features": ".1f", **{f"{domain}, {reference}": "+.2%" for domain, reference in PLACES}}
_PAPER = {
    "impression": ("0", "0"),
    "consideration": ("-0.023%", "-0.079%"),
    "average_rank": ("+0.209%", "-0.371%"),
    "average_importance": ("-0.009%", "-0.094%"),
    "intersection": ("+0.018%", "-0.079%"),
    "union": ("-0.137%", "-0.725%"),
}


def tables_of_rules() -> tuple[TableOf, TableOf]:
    """The tables of `compared_rules`, the paper's own figures below the first."""
    return (
        TableOf(
            "rules",
            "NE relative to impression importance alone at equal size (below 0 is better); size union: as many as the "
            "natural union has",
            RULE_KEYS,
            FIGURES,
            beside=[
                {"data": "paper, production", "rule": rule, "IMP, label": shown, "CD, teacher": considered}
                for rule, (shown, considered) in _PAPER.items()
            ],
        ),
        TableOf("union", "NE relative to the equal-size union", RULE_KEYS, FIGURES),
    )


@dataclass(frozen=True)
class Parts:
    """Rows of teacher_augmented whose requests are distinct: to train on, to measure importance, to compare rules.

    That the last two differ keeps a rule from being judged on the rows that it chose by.
    """

    train: pl.DataFrame
    importance: pl.DataFrame
    held: pl.DataFrame


def measured_scores(cascade: Cascade, student: Student, parts: Parts) -> Scores:
    """Importance of the student's candidates, averaged over the declared number of trainings."""
    selection = selection_of(student)
    trained = [
        fit_student(Training.of(cascade, simplified(cascade, student, training), "distilled", parts.train)).student
        for training in range(selection.trainings)
    ]
    features = cascade.candidates_of(student)
    tables = importance_tables(trained, parts.importance, features, selection, student.seed)
    return scores_from(tables, features)


def compared_rules(
    data: str, cascade: Cascade, student: Student, scores: Scores, budget: Budget, parts: Parts
) -> tuple[Rows, dict[tuple[str, str], tuple[str, ...]]]:
    """Rows of the tables `rules` (NE against impression alone) and `union` (against the equal-size union), and what
    each rule chose.

    Args:
        data: what the figures are of; the first key.
    """
    towers = student.architecture.kind == "two_tower"
    chosen = choices(scores, cascade.candidates_of(student), budget, towers)
    table = compare_rules(cascade, student, chosen, parts.train, [parts.held.clone])
    ne = {(row["rule"], row["size"], row["domain"], row["reference"]): row["ne"] for row in table.to_dicts()}
    places = [place for place in PLACES if ("union", "equal", *place) in ne]
    rows: Rows = {"rules": [], "union": []}
    for name, other in (("rules", ("impression", "equal")), ("union", ("union", "equal"))):
        for (rule, size), names in chosen.items():
            changes = {f"{d}, {r}": ne[rule, size, d, r] / ne[*other, d, r] - 1 for d, r in places}
            rows[name].append({"data": data, "rule": rule, "size": size, "features": float(len(names)), **changes})
    return rows, chosen


def kinds_chosen(
    data: str, chosen: Mapping[tuple[str, str], Sequence[str]], signal: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """How many distinct signals each choice has, how many features that repeat one, and how many without any.

    Args:
        signal: feature -> what it measures, None for noise.
    """
    rows = []
    for (rule, size), names in chosen.items():
        counted = Counter(signal[name] for name in names)
        noise = counted.pop(None, 0)
        rows.append(
            {
                "data": data,
                "rule": rule,
                "size": size,
                "signals": float(len(counted)),
                "repeats": float(counted.total() - len(counted)),
                "noise": float(noise),
            }
        )
    return rows
