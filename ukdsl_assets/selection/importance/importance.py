"""Permutation importance of features: how much NE rises when a feature is shuffled over withheld rows.

Exact: every row of every repeat is predicted with its donor's value (UKDSL paper, 4.2; Breiman, Random Forests, 2001).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ukdsl_assets.errors import SelectionError
from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.selection.importance.any_predictor import Columns, permuted_one_by_one
from ukdsl_assets.selection.importance.expectation import distinct_rows, expected_changes
from ukdsl_assets.selection.importance.passes import elsewhere
from ukdsl_assets.selection.importance.progress import Log
from ukdsl_assets.selection.importance.sample import Changes, Sample, sample_of, standard_errors
from ukdsl_assets.selection.importance.student_backends import student_changes, student_passes, together
from ukdsl_assets.selection.importance.student_columns import RowFeatures, row_features


@dataclass(frozen=True)
class Importance:
    """What permuting each group of features does to NE; positive: the model needs the group.

    names: of the groups, in the order given. per_repeat: float64 [groups, repeats], NE(permuted) - NE(base).
    base: NE without permutation. rows: how many were used.
    standard_error: float64 [groups], of `score`; see `sample.standard_errors` for what it covers.
    """

    names: tuple[str, ...]
    per_repeat: NDArray[np.float64]
    base: float
    rows: int
    standard_error: NDArray[np.float64]

    @property
    def score(self) -> NDArray[np.float64]:
        """Mean over repeats, float64 [groups]."""
        return np.asarray(self.per_repeat.mean(axis=1))


def importance_of(
    predict: Callable[[Columns], NDArray[Any]],
    columns: Columns,
    groups: Mapping[str, Sequence[str]],
    target: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    repeats: int = 1,
    seed: int = 0,
    request: ArrayLike | None = None,
) -> Importance:
    """Importance for any predictor, by predicting all rows anew for each group and repeat.

    Args:
        predict: columns as given -> probabilities [rows]; threads are its own affair.
        columns: name -> [rows, ...]; what no group names stays as it is.
        groups: name of the group -> its columns, which take the values of one and the same donor.
        target: [rows] in [0, 1]; weight: [rows] >= 0, or None for equal weights.
        repeats, seed: of the donors, see `permutations`.
        request: integers [rows] >= 0, whose rows are not independent; None: all rows are.

    Returns:
        Scores are NaN without rows, where the mean target is 0 or 1, and with a NaN in predictions or targets.

    Raises:
        SelectionError: for a group without columns, or with one that is not there.
        ValueError: for columns of different lengths; targets outside [0, 1]; negative weights; repeats < 1.
    """
    check_groups(groups, columns)
    sample = sample_of(target, weight, request, repeats, seed)
    return as_importance(groups, sample, *permuted_one_by_one(predict, columns, groups, sample))


def student_importance(
    fitted: FittedStudent,
    rows: pl.DataFrame,
    groups: Mapping[str, Sequence[str]],
    *,
    head: str,
    repeats: int = 1,
    seed: int = 0,
    threads: int = 1,
    exact_values: int = 0,
    log: Log | None = None,
) -> Importance:
    """Importance of a student's features on rows of `teacher_augmented`, by the fastest exact way.

    Args:
        rows: sorted by request_id; columns target in [0, 1], weight, and the student's features.
        groups: name of the group -> features that are permuted together. A request's feature is permuted over rows
            like any other, so that the rows of a request get different donors.
        head: which output of the student is judged.
        threads: the result is the same, bit by bit, whatever their number.
        exact_values: groups of at most so many distinct (combinations of) values get the exact mean over all donors,
            in one pass a value, as the figure of every repeat.
        log: gets a line of progress now and then, and one when a kernel is compiled (once a machine).

    Returns:
        NaN as in `importance_of`.

    Raises:
        SelectionError: for an unknown head or feature, or an empty group.
        TrainingError: if a request's rows are scattered over the frame.

    Example, where `lake` has a released student and `rows` are withheld rows of its teacher_augmented:

        >>> from pathlib import Path
        >>> import ukdsl_assets
        >>> shipped = Path(ukdsl_assets.__file__).parent / "cascades"
        >>> cascade = ukdsl_assets.read_cascade(shipped / "simulated_ads.yaml")
        >>> student = ukdsl_assets.load_student(cascade, "pre_ranking_click", lake=lake)
        >>> groups = {"ad": ["ad"], "hour": ["hour"], "both": ["ad", "hour"]}
        >>> importance = ukdsl_assets.student_importance(student, rows, groups, head="consideration", repeats=2)
        >>> importance.names, importance.per_repeat.shape
        (('ad', 'hour', 'both'), (3, 2))
        >>> ad, hour, both = importance.score
        >>> bool(ad > 10 * abs(hour))
        True
    """
    features, sample = _asked(fitted, rows, groups, head, repeats, seed)
    changes, entropy = student_changes(fitted, features, groups, head, sample, threads, log)

    def alone(name: str, single: Sample) -> Changes:
        return student_changes(fitted, features, {name: groups[name]}, head, single, threads, log)[0]

    for place, (name, members) in enumerate(groups.items()):
        few = distinct_rows([features.columns[member] for member in members], exact_values) if exact_values else None
        if few is not None:
            expected = expected_changes(partial(alone, name), sample, *few)
            changes.of_repeat[place], changes.of_cluster[place] = expected.of_repeat[0], expected.of_cluster[0]
    return as_importance(groups, sample, changes, entropy)


@dataclass(frozen=True)
class Asked:
    """Arguments of `student_importance`."""

    fitted: FittedStudent
    rows: pl.DataFrame
    groups: Mapping[str, Sequence[str]]
    head: str
    repeats: int
    seed: int


def student_importances(asked: Sequence[Asked], mapped: Mapped, log: Log | None = None) -> list[Importance]:
    """`student_importance` of each, bit by bit, all of their pieces worked on by `mapped` side by side.

    Rows, features and models are sent once; all of them are in memory together.
    """
    samples, passes = [], []
    for each in asked:
        features, sample = _asked(each.fitted, each.rows, each.groups, each.head, each.repeats, each.seed)
        has_rows = len(sample.target) > 0
        samples.append(sample)
        passes.append(student_passes(each.fitted, features, each.groups, each.head, sample, log) if has_rows else [])
    found = elsewhere([each for of in passes for each in of], mapped, log)
    return [
        as_importance(each.groups, sample, *together(each.groups, sample, of, islice(found, len(of))))
        for each, sample, of in zip(asked, samples, passes, strict=True)
    ]


def _asked(
    fitted: FittedStudent, rows: pl.DataFrame, groups: Mapping[str, Sequence[str]], head: str, repeats: int, seed: int
) -> tuple[RowFeatures, Sample]:
    """Encoded rows and the sample with its donors; errors as in `student_importance`."""
    if head not in fitted.heads:
        raise SelectionError(f"head: the student has {' and '.join(fitted.heads)}, saw {head!r}; name one of them")
    features = row_features(fitted.encoder, rows)
    check_groups(groups, features.columns)
    target, weight = (rows[name].to_numpy() for name in ("target", "weight"))
    return features, sample_of(target, weight, features.request, repeats, seed)


def as_importance(
    groups: Mapping[str, Sequence[str]], sample: Sample, changes: Changes, entropy: NDArray[np.float64]
) -> Importance:
    """Scores from the summed changes and each row's cross entropy without permutation, float64 [rows]."""
    scale = sample.scale
    base = weighted_sum(sample.weight, entropy) / scale
    # A row without a prediction has none permuted either, which a kernel may pass over.
    undefined = 0.0 if np.isfinite(base) else float("nan")
    return Importance(
        names=tuple(groups),
        per_repeat=changes.of_repeat / scale + undefined,
        base=base,
        rows=len(sample.target),
        standard_error=standard_errors(sample, changes) + undefined,
    )


def check_groups(groups: Mapping[str, Sequence[str]], columns: Columns) -> None:
    """Raises SelectionError for a group without columns, or with one that is not there."""
    for name, members in groups.items():
        missing = [member for member in members if member not in columns]
        if missing or not members or isinstance(members, str):
            raise SelectionError(
                f"group {name}: saw {members!r}; expected a list of one or more of {', '.join(sorted(columns))}"
            )
