"""Students: the baseline (labels only) and the distilled arm (labels and teacher), fitted and applied to frames."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import TypeAdapter

from ukdsl_assets.architectures import Architecture, LightGbmArchitecture, NeuralArchitecture
from ukdsl_assets.cascade import Cascade, Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.encoding import Encoder, grow

if TYPE_CHECKING:
    from ukdsl_assets.learning.trainer import Model, Progress, Targets

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
    """A training and its record: the student, figures as JSON values, and the distinct requests it consumed."""

    student: FittedStudent
    figures: Mapping[str, Any]
    requests: pl.Series = field(repr=False)


def heads_of(student: Student, arm: Arm) -> tuple[str, ...]:
    """The baseline has only labels, hence one head."""
    return ("impression",) if arm == "baseline" else student.heads


def fit_student(
    cascade: Cascade,
    student: Student,
    arm: Arm,
    rows: pl.DataFrame,
    previous: FittedStudent | None = None,
    threads: int = 1,
    device: str = "cpu",
    progress: "Progress | None" = None,
) -> Fit:
    """Train one arm on rows of `teacher_augmented`, warm-started from `previous` where there is one.

    The baseline sees the rows of domain IMP alone, with the same epochs, learning rate and number of steps (or the
    same trees): it is the equal-effort control (paper, table 1). Steps are fewer only where there are fewer requests
    than steps.

    Args:
        rows: sorted by request_id, none withheld, columns of the SQL model `teacher_augmented`.
        threads: networks are small, so a second thread gains little and loses much on a busy machine.
        device: cpu, cuda or auto; trees are grown on the CPU.

    Raises:
        TrainingError: without rows of domain IMP, or (distilled) of CD; with targets that are not in [0, 1]; when
            the loss diverges; with a null in a numeric feature.
    """
    used = rows.filter(domain="IMP") if arm == "baseline" else rows
    _check_rows(cascade, student, arm, used)
    heads = heads_of(student, arm)
    by_domain = dict(used.group_by("domain").len().iter_rows())
    counts = {"rows_imp": by_domain.get("IMP", 0), "rows_cd": by_domain.get("CD", 0)}
    if student.architecture.kind == "lightgbm":
        fitted, figures = _fit_trees(cascade, student, student.architecture, used, heads, threads)
    else:
        # As many batches as the rows of both domains make, whichever of them the arm uses.
        batches = min(-(-_requests(rows) // student.requests_per_batch), _requests(used))
        fitted, figures = _fit_network(
            cascade, student, student.architecture, used, heads, batches, previous, threads, device, progress
        )
    return Fit(fitted, figures | counts, used["request_id"].unique().sort())


def predict_student(fitted: FittedStudent, rows: pl.DataFrame, threads: int = 1) -> dict[str, NDArray[np.float32]]:
    """Probabilities [rows] of each head, for rows sorted by request_id that have the student's features."""
    encoded = fitted.encoder.encode(rows)
    if fitted.text is not None:
        from ukdsl_assets.learning.trees import predict_trees

        probabilities = predict_trees(fitted.text, encoded, threads)
    else:
        import torch

        from ukdsl_assets.learning.trainer import predict

        torch.set_num_threads(threads)
        probabilities = predict(load_model(fitted), encoded, len(fitted.heads))
    return {head: probabilities[:, index] for index, head in enumerate(fitted.heads)}


def load_model(fitted: FittedStudent) -> "Model":
    """The network with the student's parameters, on the CPU.

    Raises:
        TrainingError: for trees, which are no network.
    """
    import torch

    from ukdsl_assets.learning.trainer import Model

    if fitted.architecture.kind == "lightgbm":
        raise TrainingError("the student's architecture is lightgbm, which has no network; expected another")
    network = _network(fitted.architecture, fitted.encoder, fitted.heads, base_rate=0.5, seed=0)
    layers = {n: torch.from_numpy(np.array(v)) for n, v in fitted.tensors.items() if n != EMBEDDING}
    network.load_state_dict(layers)
    return Model(torch.from_numpy(np.array(fitted.tensors[EMBEDDING])), network)


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


def _requests(rows: pl.DataFrame) -> int:
    return rows.select(name for name in ("day", "request_id") if name in rows.columns).n_unique()


def _fit_network(
    cascade: Cascade,
    student: Student,
    architecture: NeuralArchitecture,
    rows: pl.DataFrame,
    heads: tuple[str, ...],
    batches: int,
    previous: FittedStudent | None,
    threads: int,
    device: str,
    progress: "Progress | None",
) -> tuple[FittedStudent, dict[str, Any]]:
    import torch

    from ukdsl_assets.learning.networks.build import table_width
    from ukdsl_assets.learning.trainer import Model, device_of, train

    torch.set_num_threads(threads)
    on = device_of(device)
    encoder = (previous.encoder if previous else Encoder(cascade.features_of(student))).extended(rows)
    before = previous.tensors[EMBEDDING] if previous else np.empty((0, table_width(architecture)), np.float32)
    base_rate = min(max(float(rows["target"].mean()), 1e-6), 1 - 1e-6)  # type: ignore[arg-type]
    network = _network(architecture, encoder, heads, base_rate, student.seed)
    if previous:
        network.load_state_dict(
            {n: torch.from_numpy(np.array(v)) for n, v in previous.tensors.items() if n != EMBEDDING}
        )
    model = Model(torch.from_numpy(grow(before, encoder.size, student.seed)).to(on), network.to(on))
    loss = train(
        model,
        encoder.encode(rows),
        _targets(student, rows, heads),
        epochs=student.epochs,
        batches=batches,
        learning_rate=student.learning_rate,
        seed=student.seed,
        precision=student.precision,
        progress=progress,
    )
    tensors = {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}
    tensors[EMBEDDING] = model.table.cpu().numpy()
    return FittedStudent(tensors, encoder, architecture, heads), {"loss": loss, "steps": batches * student.epochs}


def _network(
    architecture: NeuralArchitecture, encoder: Encoder, heads: tuple[str, ...], base_rate: float, seed: int
) -> Any:
    from ukdsl_assets.learning.networks.build import build_network
    from ukdsl_assets.learning.networks.inputs import Side

    request, candidate = Side(*encoder.count("request")), Side(*encoder.count("candidate"))
    return build_network(architecture, request, candidate, len(heads), base_rate, seed)


def _fit_trees(
    cascade: Cascade,
    student: Student,
    architecture: LightGbmArchitecture,
    rows: pl.DataFrame,
    heads: tuple[str, ...],
    threads: int,
) -> tuple[FittedStudent, dict[str, Any]]:
    from ukdsl_assets.learning.trees import fit_trees

    encoder = Encoder(cascade.features_of(student)).extended(rows, least=architecture.minimum_leaf_rows)
    text = fit_trees(
        architecture,
        encoder.encode(rows),
        _targets(student, rows, heads),
        heads=len(heads),
        learning_rate=student.learning_rate,
        seed=student.seed,
        threads=threads,
    )
    return FittedStudent({}, encoder, architecture, heads, text), {"trees": architecture.trees * len(heads)}


def _check_rows(cascade: Cascade, student: Student, arm: Arm, rows: pl.DataFrame) -> None:
    for domain in ("IMP",) if arm == "baseline" else ("IMP", "CD"):
        if not len(rows.filter(domain=domain)):
            raise TrainingError(
                f"{student.name}, arm {arm}: teacher_augmented has no row of domain {domain} to train on; "
                "expected some; check that the window's days are materialized and not all requests are withheld"
            )
    wrong = rows.filter(~pl.col("target").is_between(0, 1) | pl.col("target").is_nan() | pl.col("target").is_null())
    if len(wrong):
        raise TrainingError(f"{student.name}: {len(wrong)} rows of teacher_augmented.target are not in [0, 1]")
    numbers = [feature.name for feature in cascade.features_of(student) if feature.kind != "categorical"]
    for name in numbers:
        if nulls := rows[name].null_count():
            raise TrainingError(
                f"{student.name}: column `{name}` of teacher_augmented is null in {nulls} of {len(rows)} rows; "
                "expected a number; materialize the window's days again if the feature is new to the student"
            )


def _targets(student: Student, rows: pl.DataFrame, heads: tuple[str, ...]) -> "Targets":
    """Rows of IMP train the first head, rows of CD the last; each domain's weights sum to its loss weight."""
    from ukdsl_assets.learning.losses import smoothed, softened
    from ukdsl_assets.learning.trainer import Targets

    considered = (rows["domain"] == "CD").to_numpy()
    target = rows["target"].to_numpy().astype(np.float32)
    weight = rows["weight"].to_numpy().astype(np.float64)
    loss = student.loss
    for domain, loss_weight in ((~considered, loss.impression), (considered, loss.consideration)):
        total = weight[domain].sum()
        if total > 0:
            weight[domain] *= loss_weight / total
    target[~considered] = smoothed(target[~considered], weight[~considered], loss.label_smoothing)
    target[considered] = softened(target[considered], loss.temperature)
    # The gradient of a softened target is smaller by the square of the temperature (Hinton et al., 2015).
    weight[considered] *= loss.temperature**2
    return Targets(
        target=target,
        weight=weight.astype(np.float32),
        head=considered.astype(np.int64) * (len(heads) - 1),
        logit_scale=np.where(considered, 1 / loss.temperature, 1).astype(np.float32),
    )
