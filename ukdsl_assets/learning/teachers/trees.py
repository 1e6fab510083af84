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
from ukdsl_assets.learning.features.matrix import booster_of, feature_matrix, frequent_ids, held_out, present_means
from ukdsl_assets.learning.metrics.calibration import cross_entropy

if TYPE_CHECKING:
    import lightgbm

PATIENCE = 20
# Stands between the boosters of two tasks in the checkpoint's text; LightGBM's format has no such line.
BETWEEN_MODELS = "\n=== next task ===\n"


@dataclass(frozen=True)
class FittedTeacher:
    """One booster a task (LightGBM's text format) and the codes of categorical ids, by feature.

    means: of numbers that may be missing, see `feature_matrix`.
    figures: rows, trees and validation loss of each task's training; empty when read back from a checkpoint.
    """

    models: Mapping[str, str]
    codes: Mapping[str, pl.Series]
    features: tuple[Feature, ...]
    means: Mapping[str, list[float]] = field(default_factory=dict)
    figures: Mapping[str, float | int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The boosters of all tasks in one file, in the order of `models`."""
        return BETWEEN_MODELS.join(self.models.values())


def fit_teacher(cascade: Cascade, teacher: TrainedTeacher, impressions: pl.DataFrame, threads: int) -> FittedTeacher:
    """Train one booster for each task of the cascade; a task's rows are those that have its label.

    A tenth of the requests decides where to stop. Ids with fewer rows than a leaf must have are one unknown id:
    splits on rarer ones only memorise.

    Args:
        impressions: rows of the window that are not withheld, columns of the SQL model `impressions`.

    Raises:
        TrainingError: for a task without a positive or without a negative label.
    """
    import lightgbm

    features = cascade.features_known_at(teacher.stage)
    least = teacher.minimum_leaf_rows
    codes = {f.name: frequent_ids(impressions[f.name], least) for f in features if f.kind == "categorical"}
    means = present_means(features, impressions)
    models: dict[str, str] = {}
    figures: dict[str, float | int] = {}
    for task in cascade.tasks:
        rows = impressions.filter(pl.col(task.name).is_not_null())
        label = rows[task.name].to_numpy()
        if not 0 < label.sum() < len(label):
            raise TrainingError(
                f"teacher {teacher.name}, task {task.name}: {int(label.sum())} positives among {len(label)} rows; "
                "expected both outcomes; widen window_days or check the event log"
            )
        matrix, columns, categorical = feature_matrix(features, codes, rows, means)
        validation = held_out(rows["request_id"], teacher.seed)
        data = lightgbm.Dataset(
            matrix[~validation], label[~validation], feature_name=columns, categorical_feature=categorical
        )
        booster = lightgbm.train(
            _parameters(teacher, threads),
            data,
            num_boost_round=teacher.trees,
            valid_sets=[data.create_valid(matrix[validation], label[validation])],
            feval=_log_loss,
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        # The number of threads is not part of the model: its bytes must not depend on the machine.
        models[task.name] = re.sub(r"\[num_threads: \d+\]\n", "", booster.model_to_string())
        loss = booster.best_score["valid_0"]["log_loss"]
        figures |= {f"{task.name}_rows": len(rows), f"{task.name}_trees": booster.best_iteration}
        figures |= {f"{task.name}_validation_log_loss": float(loss)}
    return FittedTeacher(models, codes, features, means, figures)


def predict_teacher(fitted: FittedTeacher, rows: pl.DataFrame, threads: int) -> pl.DataFrame:
    """Labels of every task: request_id, candidate_id and Float32 `<task>_prediction` in (0, 1), in the rows' order."""
    matrix, _, _ = feature_matrix(fitted.features, fitted.codes, rows, fitted.means)
    predictions = {
        label_column(task): np.asarray(booster_of(text).predict(matrix, num_threads=threads), np.float32)
        for task, text in fitted.models.items()
    }
    return rows.select(KEYS).with_columns(**{k: pl.Series(v) for k, v in predictions.items()})


def as_checkpoint(fitted: FittedTeacher) -> dict[str, Any]:
    """Everything but the models' text, as JSON values and columns of ids (see `lake.checkpoints.arrays`)."""
    return {
        "codes": dict(fitted.codes),
        "features": [feature.model_dump(mode="json") for feature in fitted.features],
        "tasks": list(fitted.models),
        # Where none may be missing a checkpoint is what it was before there was this key.
        **({"means": dict(fitted.means)} if fitted.means else {}),
    }


def from_checkpoint(content: Mapping[str, Any], text: str) -> FittedTeacher:
    """The inverse of `as_checkpoint` and `FittedTeacher.text`."""
    features = tuple(Feature.model_validate(item) for item in content["features"])
    dtypes = {f.name: pl.String if f.values == "string" else pl.Int64 for f in features}
    return FittedTeacher(
        models=dict(zip(content["tasks"], text.split(BETWEEN_MODELS), strict=True)),
        codes={name: pl.Series(name, ids, dtype=dtypes[name]) for name, ids in content["codes"].items()},
        features=features,
        means=content.get("means", {}),
    )


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
