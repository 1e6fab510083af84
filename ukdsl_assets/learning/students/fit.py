"""Training of a student: both arms, networks and trees."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ukdsl_assets.declaration.architectures import LightGbmArchitecture, NeuralArchitecture
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import SCORED_HEAD, Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import EMBEDDING, EncodedRows, Encoder, grow
from ukdsl_assets.learning.metrics.logits import inner_mean, log_odds
from ukdsl_assets.learning.students.fit_level import level_of
from ukdsl_assets.learning.students.predict import new_network, predictor
from ukdsl_assets.learning.students.student import Arm, FittedStudent, heads_of, trained_heads_of
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.students.trees import BETWEEN_HEADS, encoded_matrix
from ukdsl_assets.learning.training.outputs import Output, outputs_of
from ukdsl_assets.learning.training.rows import Reader
from ukdsl_assets.learning.training.survey import Survey, surveyed
from ukdsl_assets.learning.training.targets import encoded, planned_shards

if TYPE_CHECKING:
    from ukdsl_assets.learning.networks.inputs import HasHeads
    from ukdsl_assets.learning.networks.teacher_tasks import WithTeacherTasks
    from ukdsl_assets.learning.training.shards import Targets


@dataclass(frozen=True)
class Fit:
    """A training and its record: the student, and figures as JSON values."""

    student: FittedStudent
    figures: Mapping[str, Any]


def training_only_tasks(student: Student, arm: Arm) -> tuple[str, ...]:
    """Tasks that the arm is trained on beside its heads and that its checkpoint lacks."""
    return student.label_tasks if arm == "baseline" else (*student.label_tasks, *student.teacher_tasks)


def fit_student(training: Training) -> Fit:
    """Train one arm, warm-started from `training.previous` where there is one.

    The baseline sees the rows of domain IMP alone, with the same epochs, learning rate and number of steps (or the
    same trees): it is the equal-effort control (paper, table 1). Steps are fewer only where there are fewer requests
    than steps.

    Raises:
        TrainingError: without rows of domain IMP, or (distilled) of CD; with targets that are not in [0, 1]; when
            the loss diverges; with a null in a numeric feature.
    """
    architecture = training.student.architecture
    if not architecture.is_network:
        fitted, figures, survey = _fit_boosted(training, architecture)
    else:
        fitted, figures, survey = _fit_network(training, architecture)
    counts = {"rows_imp": survey.rows[IMP], "rows_cd": survey.rows.get(CD, 0)}
    if SCORED_HEAD in heads_of(training.student, training.arm):
        fitted, level = _levelled(training, fitted)
        figures = figures | level
    return Fit(fitted, figures | counts)


def _levelled(training: Training, fitted: FittedStudent) -> tuple[FittedStudent, dict[str, Any]]:
    """The student with head `scored`, and the figures of its line."""
    predict, head = predictor(fitted, training.threads), fitted.heads[-1]
    level, figures = level_of(lambda rows: predict(rows)[head], training.labelled_rows)
    return replace(fitted, heads=(*fitted.heads, SCORED_HEAD), level=level), figures


def _fit_network(training: Training, architecture: NeuralArchitecture) -> tuple[FittedStudent, dict[str, Any], Survey]:
    import torch

    from ukdsl_assets.learning.networks.build import table_width
    from ukdsl_assets.learning.networks.model import Model, device_of
    from ukdsl_assets.learning.training.precision import used_precision
    from ukdsl_assets.learning.training.trainer import train

    student, rows, previous = training.student, training.rows, training.previous
    survey = surveyed(rows, previous.encoder if previous else Encoder(training.features), least=1)
    heads = trained_heads_of(student, training.arm)
    outputs = outputs_of(student, heads, training.arm == "baseline", survey.width)
    planned = planned_shards(rows, outputs, survey)
    torch.set_num_threads(training.threads)
    on = device_of(training.device)
    before = previous.tensors[EMBEDDING] if previous else np.empty((0, table_width(architecture)), np.float32)
    network = _started(training, architecture, survey, heads)
    # Outputs of training that the checkpoint lacks.
    tasks = [output for output in outputs if output.kind != "head"]
    taught = _with_tasks(network, tasks, len(heads), survey, _mean(student, survey))
    model = Model(torch.from_numpy(grow(before, survey.encoder.size, student.seed)).to(on), taught.to(on))
    precision = used_precision(student.precision, on)
    loss = train(
        model,
        planned,
        epochs=student.epochs,
        learning_rate=student.learning_rate,
        seed=student.seed,
        precision=precision,
        progress=training.progress,
        keeper=training.keeper,
    )
    tensors = {name: value.detach().cpu().numpy().copy() for name, value in taught.served().state_dict().items()}
    tensors[EMBEDDING] = model.table.cpu().numpy()
    steps = student.epochs * sum(shard.batches for shard in planned)
    figures: dict[str, Any] = {"loss": loss, "steps": steps}
    # Told where it may be another than was asked for.
    figures |= {"precision": precision} if student.precision != "float32" else {}
    return FittedStudent(tensors, survey.encoder, architecture, heads), figures, survey


def _started(
    training: Training, architecture: NeuralArchitecture, survey: Survey, heads: tuple[str, ...]
) -> "HasHeads":
    """The network as the training finds it: new, at the mean target's level, or with yesterday's layers."""
    import torch

    base_rate = inner_mean(_mean(training.student, survey))
    network = new_network(architecture, survey.encoder, heads, base_rate, training.student.seed)
    if training.previous:
        layers = {name: value for name, value in training.previous.tensors.items() if name != EMBEDDING}
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in layers.items()})
    return network


def _mean(student: Student, survey: Survey) -> float:
    # Where labels alone train the main head, it starts at their mean, whatever level a teacher has.
    return survey.mean_target if student.served_heads == student.heads else survey.mean_label


def _with_tasks(
    network: "HasHeads", tasks: Sequence[Output], heads: int, survey: Survey, mean: float
) -> "WithTeacherTasks":
    """The network with the tasks of training, each at the level of its own targets."""
    from ukdsl_assets.learning.networks.teacher_tasks import WithTeacherTasks

    kinds, levels = [], []
    main = log_odds(mean)
    for task in tasks:
        kinds += [task.kind] * task.width
        own = 0.0 if task.kind == "representation" else log_odds(survey.means[task.domains[0], task.column]) - main
        levels += [own] * task.width
    return WithTeacherTasks(network, kinds, heads, levels)


def _fit_boosted(
    training: Training, architecture: LightGbmArchitecture
) -> tuple[FittedStudent, dict[str, Any], Survey]:
    """Boosted trees, which need all rows in memory together."""
    student, arm = training.student, training.arm
    heads = trained_heads_of(student, arm)
    rows = replace(training.rows, readers=[partial(_together, training.rows.readers)])
    survey = surveyed(rows, Encoder(training.features), architecture.minimum_leaf_rows)
    shard = encoded(rows, outputs_of(student, heads, arm == "baseline"), survey, rows.readers[0])
    text = fit_trees(
        architecture,
        shard.rows,
        shard.targets,
        heads=len(heads),
        learning_rate=student.learning_rate,
        seed=student.seed,
        threads=training.threads,
    )
    fitted = FittedStudent({}, survey.encoder, architecture, heads, text)
    return fitted, {"trees": architecture.trees * len(heads)}, survey


def _together(readers: Sequence[Reader]) -> pl.DataFrame:
    parts = [read() for read in readers]
    return pl.concat(parts) if len(parts) > 1 else parts[0]


def fit_trees(
    architecture: LightGbmArchitecture,
    rows: EncodedRows,
    targets: "Targets",
    heads: int,
    learning_rate: float,
    seed: int,
    threads: int,
) -> str:
    """Boosters of all heads in LightGBM's text format; the same bytes for the same input, whatever the threads.

    Args:
        targets: a row grows the trees of the heads that it has a weight for; temperatures are not applied.
        learning_rate: shrinkage of each tree.

    Raises:
        TrainingError: for a head without rows, or whose targets are all the same.
    """
    import lightgbm

    matrix, categorical = encoded_matrix(rows)
    parameters = {
        "objective": "cross_entropy",
        "num_leaves": architecture.leaves,
        "learning_rate": learning_rate,
        "min_data_in_leaf": architecture.minimum_leaf_rows,
        "min_sum_hessian_in_leaf": 0.0,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbosity": -1,
        "cat_smooth": 20,
    }
    texts = []
    for head in range(heads):
        mine = targets.weight[:, head] > 0
        target, weight = targets.target[mine, head], targets.weight[mine, head].astype(np.float64)
        if not len(target) or target.min() == target.max():
            raise TrainingError(
                f"head {head}: {len(target)} rows with targets {np.unique(target)[:3].tolist()}; expected at least "
                "two different ones; check that the window's days have labels"
            )
        # Weights sum to the rows, so that the regularisation of leaves means the same for every head.
        weight *= len(weight) / weight.sum()
        data = lightgbm.Dataset(matrix[mine], target, weight=weight, categorical_feature=categorical)
        booster = lightgbm.train(parameters, data, num_boost_round=architecture.trees)
        # The number of threads is not part of the model: its bytes must not depend on the machine.
        texts.append(re.sub(r"\[num_threads: \d+\]\n", "", booster.model_to_string()))
    return BETWEEN_HEADS.join(texts)
