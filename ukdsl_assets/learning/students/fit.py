"""Training of a student: both arms, networks and trees."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ukdsl_assets.declaration.architectures import LightGbmArchitecture, NeuralArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import EncodedRows, Encoder, grow
from ukdsl_assets.learning.students.predict import new_network
from ukdsl_assets.learning.students.student import EMBEDDING, Arm, FittedStudent, heads_of
from ukdsl_assets.learning.students.trees import BETWEEN_HEADS, feature_matrix
from ukdsl_assets.learning.training.outputs import Output, outputs_of
from ukdsl_assets.learning.training.rows import Reader, Survey, encoded, planned_shards, survey

if TYPE_CHECKING:
    from ukdsl_assets.learning.training.shards import PlannedShard, Targets
    from ukdsl_assets.learning.training.state import Keeper
    from ukdsl_assets.learning.training.trainer import Progress


@dataclass(frozen=True)
class Fit:
    """A training and its record: the student, and figures as JSON values."""

    student: FittedStudent
    figures: Mapping[str, Any]


def tasks_of(student: Student, arm: Arm) -> tuple[str, ...]:
    """Tasks that the arm is trained on beside its heads and that its checkpoint lacks."""
    return student.label_tasks if arm == "baseline" else (*student.label_tasks, *student.teacher_tasks)


def fit_student(
    cascade: Cascade,
    student: Student,
    arm: Arm,
    rows: pl.DataFrame | Sequence[Reader],
    previous: FittedStudent | None = None,
    threads: int = 1,
    device: str = "cpu",
    progress: "Progress | None" = None,
    keeper: "Keeper | None" = None,
) -> Fit:
    """Train one arm on rows of `teacher_augmented`, warm-started from `previous` where there is one.

    The baseline sees the rows of domain IMP alone, with the same epochs, learning rate and number of steps (or the
    same trees): it is the equal-effort control (paper, table 1). Steps are fewer only where there are fewer requests
    than steps.

    Args:
        rows: sorted by request_id, none withheld, columns of the SQL model `teacher_augmented`; or what reads one
            shard of them each: then one shard is in memory at a time (trees need all).
        threads: networks are small, so a second thread gains little and loses much on a busy machine.
        device: cpu, cuda or auto; trees are grown on the CPU.
        keeper: keeps the state of a network's training, so that an interrupted one goes on.

    Raises:
        TrainingError: without rows of domain IMP, or (distilled) of CD; with targets that are not in [0, 1]; when
            the loss diverges; with a null in a numeric feature.
    """
    domains = ("IMP",) if arm == "baseline" else ("IMP", "CD")
    readers: Sequence[Reader] = [partial(_itself, rows)] if isinstance(rows, pl.DataFrame) else rows
    encoder = previous.encoder if previous else Encoder(cascade.features_of(student))
    heads = heads_of(student, arm)
    if not student.architecture.is_network:
        least = student.architecture.minimum_leaf_rows
        whole = [partial(_together, readers)]
        found = survey(cascade, student, domains, Encoder(cascade.features_of(student)), whole, least)
        outputs = outputs_of(student, heads, arm == "baseline")
        fitted, figures = _fit_trees(student, student.architecture, heads, domains, outputs, found, whole, threads)
    else:
        found = survey(cascade, student, domains, encoder, readers, least=1)
        outputs = outputs_of(student, heads, arm == "baseline", found.width)
        planned = planned_shards(student, domains, outputs, found, readers)
        # Outputs of training that the checkpoint lacks.
        tasks = [output for output in outputs if output.kind != "head"]
        fitted, figures = _fit_network(
            student, student.architecture, heads, tasks, found, planned, previous, threads, device, progress, keeper
        )
    counts = {"rows_imp": found.rows["IMP"], "rows_cd": found.rows.get("CD", 0)}
    return Fit(fitted, figures | counts)


def _itself(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def _together(readers: Sequence[Reader]) -> pl.DataFrame:
    parts = [read() for read in readers]
    return pl.concat(parts) if len(parts) > 1 else parts[0]


def _fit_network(
    student: Student,
    architecture: NeuralArchitecture,
    heads: tuple[str, ...],
    tasks: Sequence[Output],
    found: Survey,
    planned: "Sequence[PlannedShard]",
    previous: FittedStudent | None,
    threads: int,
    device: str,
    progress: "Progress | None",
    keeper: "Keeper | None",
) -> tuple[FittedStudent, dict[str, Any]]:
    import torch

    from ukdsl_assets.learning.networks.build import table_width
    from ukdsl_assets.learning.networks.model import Model, device_of
    from ukdsl_assets.learning.networks.teacher_tasks import WithTeacherTasks
    from ukdsl_assets.learning.training.trainer import train

    torch.set_num_threads(threads)
    on = device_of(device)
    before = previous.tensors[EMBEDDING] if previous else np.empty((0, table_width(architecture)), np.float32)
    # Where labels alone train the main head, it starts at their mean, whatever level a teacher has.
    mean = found.mean_target if student.served_heads == student.heads else found.mean_label
    base_rate = min(max(mean, 1e-6), 1 - 1e-6)
    network = new_network(architecture, found.encoder, heads, base_rate, student.seed)
    if previous:
        layers = {name: value for name, value in previous.tensors.items() if name != EMBEDDING}
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in layers.items()})
    taught = _with_tasks(network, tasks, len(heads), mean, found) if tasks else network
    model = Model(torch.from_numpy(grow(before, found.encoder.size, student.seed)).to(on), taught.to(on))
    loss = train(
        model,
        planned,
        epochs=student.epochs,
        learning_rate=student.learning_rate,
        seed=student.seed,
        precision=student.precision,
        progress=progress,
        keeper=keeper,
    )
    served = taught.served() if isinstance(taught, WithTeacherTasks) else taught
    tensors = {name: value.detach().cpu().numpy().copy() for name, value in served.state_dict().items()}
    tensors[EMBEDDING] = model.table.cpu().numpy()
    steps = student.epochs * sum(shard.batches for shard in planned)
    return FittedStudent(tensors, found.encoder, architecture, heads), {"loss": loss, "steps": steps}


def _with_tasks(network: Any, tasks: Sequence[Output], heads: int, mean: float, found: Survey) -> Any:
    """The network with the tasks of training, each at the level of its own targets."""
    from ukdsl_assets.learning.networks.teacher_tasks import WithTeacherTasks

    kinds, levels = [], []
    main = _log_odds(mean)
    for task in tasks:
        kinds += [task.kind] * task.width
        own = 0.0 if task.kind == "representation" else _log_odds(found.means[task.domains[0], task.column]) - main
        levels += [own] * task.width
    return WithTeacherTasks(network, kinds, heads, levels)


def _log_odds(mean: float) -> float:
    p = min(max(mean, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def _fit_trees(
    student: Student,
    architecture: LightGbmArchitecture,
    heads: tuple[str, ...],
    domains: Sequence[str],
    outputs: Sequence[Output],
    found: Survey,
    readers: Sequence[Reader],
    threads: int,
) -> tuple[FittedStudent, dict[str, Any]]:
    from ukdsl_assets.learning.students.fit import fit_trees

    shard = encoded(student, domains, outputs, found, readers[0])
    text = fit_trees(
        architecture,
        shard.rows,
        shard.targets,
        heads=len(heads),
        learning_rate=student.learning_rate,
        seed=student.seed,
        threads=threads,
    )
    return FittedStudent({}, found.encoder, architecture, heads, text), {"trees": architecture.trees * len(heads)}


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

    matrix, categorical = feature_matrix(rows)
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
