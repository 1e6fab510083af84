"""Students: the baseline (labels only) and the distilled arm (labels and teacher), fitted and applied to frames."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import TypeAdapter

from ukdsl_assets.architectures import WITH_HIDDEN_LAYER, Architecture, LightGbmArchitecture, NeuralArchitecture
from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_students import Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.encoding import EncodedRows, Encoder, grow
from ukdsl_assets.learning.training_rows import Reader, Survey, encoded, planned_shards, survey
from ukdsl_assets.learning.training_tasks import Output, outputs_of

if TYPE_CHECKING:
    from ukdsl_assets.learning.trainer import Model, PlannedShard, Progress
    from ukdsl_assets.learning.training_state import Keeper

Arm = Literal["baseline", "distilled"]
ARMS: tuple[Arm, ...] = ("baseline", "distilled")
EMBEDDING = "embedding.weight"


@dataclass(frozen=True)
class FittedStudent:
    """A student's parameters and what is needed to apply them.

    tensors: parameter name -> float32 array, of a network; text: the boosters of trees, else None;
    encoder: of its features; heads: names of the model's heads, in order; the last one serves.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    encoder: Encoder
    architecture: NeuralArchitecture | LightGbmArchitecture
    heads: tuple[str, ...]
    text: str | None = None


@dataclass(frozen=True)
class Fit:
    """A training and its record: the student, and figures as JSON values."""

    student: FittedStudent
    figures: Mapping[str, Any]


def heads_of(student: Student, arm: Arm) -> tuple[str, ...]:
    """Heads of an arm's checkpoint; the baseline has only labels, hence one."""
    return ("impression",) if arm == "baseline" else student.served_heads


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
    if student.architecture.kind == "lightgbm":
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


def predict_student(fitted: FittedStudent, rows: pl.DataFrame, threads: int = 1) -> dict[str, NDArray[np.float32]]:
    """Probabilities [rows] of each head, for rows sorted by request_id that have the student's features."""
    return predictor(fitted, threads)(rows)


def predictor(fitted: FittedStudent, threads: int = 1) -> Callable[[pl.DataFrame], dict[str, NDArray[np.float32]]]:
    """`predict_student` for many frames: the model is put together once."""
    if fitted.text is not None:
        from ukdsl_assets.learning.trees import predict_trees

        predict: Callable[[EncodedRows], NDArray[np.float32]] = partial(predict_trees, fitted.text, threads=threads)
    else:
        import torch

        from ukdsl_assets.learning import trainer

        torch.set_num_threads(threads)
        predict = partial(trainer.predict, load_model(fitted), heads=len(fitted.heads))

    def predicted(rows: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
        probabilities = predict(fitted.encoder.encode(rows))
        return {head: probabilities[:, index] for index, head in enumerate(fitted.heads)}

    return predicted


def hidden_layer(fitted: FittedStudent, rows: pl.DataFrame) -> NDArray[np.float32]:
    """What the output layer of a student's network reads, float32 [rows, width], for rows as in `predict_student`.

    Raises:
        TrainingError: for trees and two_tower, which have no such layer.
    """
    from ukdsl_assets.learning import trainer

    if fitted.architecture.kind not in WITH_HIDDEN_LAYER:
        raise TrainingError(
            f"a model of architecture {fitted.architecture.kind} has no hidden layer before its output; expected one "
            f"of {', '.join(WITH_HIDDEN_LAYER)}"
        )
    return trainer.hidden_layer(load_model(fitted), fitted.encoder.encode(rows), output="heads")


def load_model(fitted: FittedStudent) -> "Model":
    """The network with the student's parameters, on the CPU.

    Raises:
        TrainingError: for trees, which are no network.
    """
    import torch

    from ukdsl_assets.learning.trainer import Model

    network = _network(_neural(fitted), fitted.encoder, fitted.heads, base_rate=0.5, seed=0)
    layers = {n: torch.from_numpy(np.array(v)) for n, v in fitted.tensors.items() if n != EMBEDDING}
    network.load_state_dict(layers)
    return Model(torch.from_numpy(np.array(fitted.tensors[EMBEDDING])), network)


def baseline_shapes(fitted: FittedStudent) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every layer of the baseline's network, which has one head and no teacher's task.

    Raises:
        TrainingError: for trees.
    """
    network = _network(_neural(fitted), fitted.encoder, ("impression",), base_rate=0.5, seed=0)
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def parameters_of(fitted: FittedStudent) -> Mapping[str, NDArray[np.float32]]:
    """Everything that was learnt, by name: a network's tensors, or the values of all trees' leaves."""
    if fitted.text is None:
        return fitted.tensors
    from ukdsl_assets.learning.trees import leaf_values

    return {"leaves": leaf_values(fitted.text)}


def as_checkpoint(fitted: FittedStudent) -> dict[str, Any]:
    """The part of a checkpoint's JSON that rebuilds the student around its tensors or text."""
    return {
        "encoder": fitted.encoder.as_json(),
        "architecture": fitted.architecture.model_dump(mode="json"),
        "heads": list(fitted.heads),
    }


def from_checkpoint(
    content: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]], text: str | None = None
) -> FittedStudent:
    """The inverse of `as_checkpoint`."""
    architecture = TypeAdapter(Architecture).validate_python(content["architecture"])
    return FittedStudent(tensors, Encoder.from_json(content["encoder"]), architecture, tuple(content["heads"]), text)


def can_continue(previous: FittedStudent, cascade: Cascade, student: Student, arm: Arm) -> bool:
    """Whether training may be warm-started: a network that fits the declaration of today. Trees are grown anew."""
    # What a feature costs is no part of the model.
    before, now = (
        [feature.model_copy(update={"cost": 0.0}) for feature in features]
        for features in (previous.encoder.features, cascade.features_of(student))
    )
    same = previous.architecture == student.architecture and student.architecture.kind != "lightgbm"
    return same and before == now and previous.heads == heads_of(student, arm)


def _neural(fitted: FittedStudent) -> NeuralArchitecture:
    if fitted.architecture.kind == "lightgbm":
        raise TrainingError("the student's architecture is lightgbm, which has no network; expected another")
    return fitted.architecture


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
    from ukdsl_assets.learning.networks.teacher_tasks import WithTeacherTasks
    from ukdsl_assets.learning.trainer import Model, device_of, train

    torch.set_num_threads(threads)
    on = device_of(device)
    before = previous.tensors[EMBEDDING] if previous else np.empty((0, table_width(architecture)), np.float32)
    # Where labels alone train the main head, it starts at their mean, whatever level a teacher has.
    mean = found.mean_target if student.served_heads == student.heads else found.mean_label
    base_rate = min(max(mean, 1e-6), 1 - 1e-6)
    network = _network(architecture, found.encoder, heads, base_rate, student.seed)
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


def _network(
    architecture: NeuralArchitecture, encoder: Encoder, heads: tuple[str, ...], base_rate: float, seed: int
) -> Any:
    from ukdsl_assets.learning.networks.build import build_network
    from ukdsl_assets.learning.networks.inputs import Side

    request, candidate = Side(*encoder.count("request")), Side(*encoder.count("candidate"))
    return build_network(architecture, request, candidate, len(heads), base_rate, seed)


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
    from ukdsl_assets.learning.trees import fit_trees

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
