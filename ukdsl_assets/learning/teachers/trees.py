"""Trained teachers: LightGBM on a rolling window of impressions, with every feature known at the teacher's stage."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.frames.splits import fold_of, withheld
from ukdsl_assets.learning.features.matrix import (
    feature_columns,
    feature_matrix,
    frequent_ids,
    held_out,
    present_means,
)
from ukdsl_assets.learning.metrics.calibration import cross_entropy
from ukdsl_assets.learning.trees.predict import predict_columns

if TYPE_CHECKING:
    import lightgbm

PATIENCE = 20
# Stands between the boosters of two tasks in the checkpoint's text; LightGBM's format has no such line.
BETWEEN_MODELS = "\n=== next task ===\n"


@dataclass(frozen=True)
class FittedTeacher:
    """One booster a task (LightGBM's text format) and the codes of categorical ids, by feature.

    folds: for each fold of the requests trained on, boosters that have not seen it, by task; empty for none.
    withheld_share: of the requests, which no fold is of; all boosters have seen none of them.
    means: of numbers that may be missing, see `feature_matrix`.
    figures: rows, trees and validation loss of each task's training; empty when read back from a checkpoint.
    """

    models: Mapping[str, str]
    codes: Mapping[str, pl.Series]
    features: tuple[Feature, ...]
    means: Mapping[str, list[float]] = field(default_factory=dict)
    figures: Mapping[str, float | int] = field(default_factory=dict)
    folds: tuple[Mapping[str, str], ...] = ()
    withheld_share: float = 0.0

    @property
    def text(self) -> str:
        """The boosters of all tasks in one file, in the order of `models`, and then those of each fold."""
        return BETWEEN_MODELS.join(text for models in (self.models, *self.folds) for text in models.values())


def fit_teacher(cascade: Cascade, teacher: TrainedTeacher, impressions: pl.DataFrame, threads: int) -> FittedTeacher:
    """Train one booster for each task of the cascade, and one more for each fold; a task's rows have its label.

    A tenth of the requests decides where to stop. Ids with fewer rows than a leaf must have are one unknown id:
    splits on rarer ones only memorise.

    Args:
        impressions: rows of the window that are not withheld, or whole requests of them (see `request_sample`),
            columns of the SQL model `impressions`.

    Raises:
        TrainingError: for a task without a positive or without a negative label.
    """
    features = cascade.features_known_at(teacher.stage)
    least = teacher.minimum_leaf_rows
    codes = {f.name: frequent_ids(impressions[f.name], least) for f in features if f.kind == "categorical"}
    means = present_means(features, impressions)
    figures: dict[str, float | int] = {}
    models: dict[str, str] = {}
    folds: list[dict[str, str]] = [{} for _ in range(teacher.folds if teacher.folds > 1 else 0)]
    for task in cascade.tasks:
        rows = impressions.filter(pl.col(task.name).is_not_null())
        _both_outcomes(rows, teacher, task.name, "")
        matrix, columns, categorical = feature_matrix(features, codes, rows, means)
        label, validation = rows[task.name].to_numpy(), held_out(rows["request_id"], teacher.seed)
        fold = fold_of(rows["request_id"], max(1, len(folds))).to_numpy()

        def boosted(
            kept: NDArray[np.bool_],
            matrix: NDArray[np.float32] = matrix,
            label: NDArray[np.float32] = label,
            validation: NDArray[np.bool_] = validation,
            names: tuple[list[str], list[str]] = (columns, categorical),
        ) -> "lightgbm.Booster":
            train, stop = kept & ~validation, kept & validation
            return _booster(teacher, (matrix[train], label[train]), (matrix[stop], label[stop]), names, threads)

        booster = boosted(np.ones(len(rows), np.bool_))
        models[task.name] = _text(booster)
        loss = booster.best_score["valid_0"]["log_loss"]
        figures |= {f"{task.name}_rows": len(rows), f"{task.name}_trees": booster.best_iteration}
        figures |= {f"{task.name}_validation_log_loss": float(loss)}
        for number, of_fold in enumerate(folds):
            _both_outcomes(rows.filter(fold != number), teacher, task.name, f", without fold {number + 1}")
            of_fold[task.name] = _text(boosted(fold != number))
    return FittedTeacher(models, codes, features, means, figures, tuple(folds), cascade.withheld_share)


def _both_outcomes(rows: pl.DataFrame, teacher: TrainedTeacher, task: str, where: str) -> None:
    positives = int(rows[task].sum())
    if not 0 < positives < len(rows):
        raise TrainingError(
            f"teacher {teacher.name}, task {task}{where}: {positives} positives among {len(rows)} rows; expected both "
            "outcomes; widen window_days, or raise most_rows if rows were drawn, or check the event log"
        )


def predict_teacher(fitted: FittedTeacher, rows: pl.DataFrame, threads: int) -> pl.DataFrame:
    """Labels of every task: request_id, candidate_id and Float32 `<task>_prediction` in (0, 1), in the rows' order.

    Of a teacher with folds a request that was trained on is labelled by the boosters that have not seen it.
    """
    columns, _ = feature_columns(fitted.features, fitted.codes, rows, fitted.means)
    chosen = _models_of(fitted, rows["request_id"])
    predictions = {label_column(task): np.empty(len(rows), np.float32) for task in fitted.models}
    for number, models in enumerate((fitted.models, *fitted.folds)):
        of_these = chosen == number
        if of_these.any():
            mine = columns if of_these.all() else [column[of_these] for column in columns]
            for task, text in models.items():
                predictions[label_column(task)][of_these] = predict_columns(text, mine, threads)
    return rows.select(KEYS).with_columns(**{k: pl.Series(v) for k, v in predictions.items()})


def _models_of(fitted: FittedTeacher, request_ids: pl.Series) -> NDArray[np.int32]:
    """Which boosters label each row: 0 those of all rows, from 1 on those that have not seen the request's fold."""
    if not fitted.folds:
        return np.zeros(len(request_ids), np.int32)
    held = withheld(request_ids, fitted.withheld_share).to_numpy()
    return np.where(held, 0, 1 + fold_of(request_ids, len(fitted.folds)).to_numpy()).astype(np.int32)


def as_checkpoint(fitted: FittedTeacher) -> dict[str, Any]:
    """Everything but the models' text, as JSON values and columns of ids (see `lake.checkpoints.arrays`)."""
    return {
        "codes": dict(fitted.codes),
        "features": [feature.model_dump(mode="json") for feature in fitted.features],
        "tasks": list(fitted.models),
        # Where none may be missing a checkpoint is what it was before there was this key.
        **({"means": dict(fitted.means)} if fitted.means else {}),
        **({"folds": len(fitted.folds), "withheld_share": fitted.withheld_share} if fitted.folds else {}),
    }


def from_checkpoint(content: Mapping[str, Any], text: str) -> FittedTeacher:
    """The inverse of `as_checkpoint` and `FittedTeacher.text`."""
    features = tuple(Feature.model_validate(item) for item in content["features"])
    dtypes = {f.name: pl.String if f.values == "string" else pl.Int64 for f in features}
    texts, tasks = text.split(BETWEEN_MODELS), content["tasks"]
    models = [
        dict(zip(tasks, texts[start : start + len(tasks)], strict=True)) for start in range(0, len(texts), len(tasks))
    ]
    if len(models) != 1 + content.get("folds", 0):
        raise ValueError(f"{len(texts)} boosters of {len(tasks)} tasks and {content.get('folds', 0)} folds")
    return FittedTeacher(
        models=models[0],
        codes={name: pl.Series(name, ids, dtype=dtypes[name]) for name, ids in content["codes"].items()},
        features=features,
        means=content.get("means", {}),
        folds=tuple(models[1:]),
        withheld_share=content.get("withheld_share", 0.0),
    )


def _booster(
    teacher: TrainedTeacher,
    train: tuple[NDArray[np.float32], NDArray[np.float32]],
    stop: tuple[NDArray[np.float32], NDArray[np.float32]],
    names: tuple[list[str], list[str]],
    threads: int,
) -> "lightgbm.Booster":
    """Trees on matrix and label of `train`, as many as are best for `stop`; names of all columns, and of ids."""
    import lightgbm

    data = lightgbm.Dataset(*train, feature_name=names[0], categorical_feature=names[1])
    return lightgbm.train(
        _parameters(teacher, threads),
        data,
        num_boost_round=teacher.trees,
        valid_sets=[data.create_valid(*stop)],
        feval=_log_loss,
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )


def _text(booster: "lightgbm.Booster") -> str:
    """The number of threads is not part of the model: its bytes must not depend on the machine."""
    return re.sub(r"\[num_threads: \d+\]\n", "", booster.model_to_string())


def _log_loss(prediction: NDArray[np.float64], data: "lightgbm.Dataset") -> tuple[str, float, bool]:
    """Where to stop; LightGBM's own adds in an order that depends on the number of threads."""
    return "log_loss", cross_entropy(prediction, np.asarray(data.get_label())), False


def _parameters(teacher: TrainedTeacher, threads: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "metric": "None",
        "num_leaves": teacher.leaves,
        "learning_rate": teacher.learning_rate,
        "min_data_in_leaf": teacher.minimum_leaf_rows,
        "feature_fraction": 0.8,
        "seed": teacher.seed,
        # Same bytes for the same rows, whatever the machine's load.
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbosity": -1,
        "cat_smooth": 20,
    }
