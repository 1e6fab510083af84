"""Students: the baseline (labels only) and the distilled arm (labels and teacher), fitted and applied to frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.cascade import Cascade, Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.encoding import Encoder, grow

if TYPE_CHECKING:
    from ukdsl_assets.learning.trainer import Progress, Targets
    from ukdsl_assets.learning.two_tower import TwoTower

Arm = Literal["baseline", "distilled"]
ARMS: tuple[Arm, ...] = ("baseline", "distilled")


@dataclass(frozen=True)
class FittedStudent:
    """A student's parameters and what is needed to apply them.

    tensors: parameter name -> float32 array; encoder: of its features; shape: widths and heads of the towers;
    heads: names of the model's heads, in order; the last one serves.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    encoder: Encoder
    shape: Mapping[str, int]
    heads: tuple[str, ...]


@dataclass(frozen=True)
class Fit:
    """A training and its record: the student, figures as JSON values, and the distinct requests it consumed."""

    student: FittedStudent
    figures: Mapping[str, Any]
    requests: pl.Series


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
    progress: "Progress | None" = None,
) -> Fit:
    """Train one arm on rows of `teacher_augmented`, warm-started from `previous` where there is one.

    The baseline sees the rows of domain IMP alone, with the same epochs, learning rate and number of steps: it is
    the equal-effort control (paper, table 1). Steps are fewer only where there are fewer requests than steps.

    Args:
        rows: sorted by request_id, none withheld, columns of the SQL model `teacher_augmented`.
        threads: of torch; towers are small, so a second thread gains little and loses much on a busy machine.

    Raises:
        TrainingError: without rows of domain IMP, or (distilled) of CD; with targets that are not in [0, 1]; when
            the loss diverges; with a null in a numeric feature.
    """
    import torch

    from ukdsl_assets.learning.trainer import train

    used = rows.filter(domain="IMP") if arm == "baseline" else rows
    _check_rows(cascade, student, arm, used)
    torch.set_num_threads(threads)
    heads = heads_of(student, arm)
    encoder = (previous.encoder if previous else Encoder(cascade.features_of(student))).extended(used)
    model = _model(student, heads, encoder, previous, float(used["target"].mean()))  # type: ignore[arg-type]
    # As many batches as the rows of both domains make, whichever of them the arm uses.
    batches = min(-(-_requests(rows) // student.requests_per_batch), _requests(used))
    loss = train(
        model,
        encoder.encode(used),
        _targets(student, used, heads),
        epochs=student.epochs,
        batches=batches,
        learning_rate=student.learning_rate,
        seed=student.seed,
        progress=progress,
    )
    fitted = FittedStudent(
        tensors={name: value.detach().numpy().copy() for name, value in model.state_dict().items()},
        encoder=encoder,
        shape={"embedding": student.embedding, "hidden": student.hidden, "output": student.output},
        heads=heads,
    )
    by_domain = dict(used.group_by("domain").len().iter_rows())
    figures = {
        "loss": loss,
        "steps": batches * student.epochs,
        "rows_imp": by_domain.get("IMP", 0),
        "rows_cd": by_domain.get("CD", 0),
    }
    return Fit(fitted, figures, used["request_id"].unique().sort())


def predict_student(fitted: FittedStudent, rows: pl.DataFrame, threads: int = 1) -> dict[str, NDArray[np.float32]]:
    """Probabilities [rows] of each head, for rows sorted by request_id that have the student's features."""
    import torch

    from ukdsl_assets.learning.trainer import predict

    torch.set_num_threads(threads)
    probabilities = predict(load_model(fitted), fitted.encoder.encode(rows))
    return {head: probabilities[:, index] for index, head in enumerate(fitted.heads)}


def load_model(fitted: FittedStudent) -> "TwoTower":
    """The torch module with the student's parameters."""
    import torch

    from ukdsl_assets.learning.two_tower import TwoTower

    model = TwoTower(
        table=torch.zeros(fitted.encoder.size, fitted.shape["embedding"]),
        request=fitted.encoder.count("request"),
        candidate=fitted.encoder.count("candidate"),
        hidden=fitted.shape["hidden"],
        output=fitted.shape["output"],
        heads=len(fitted.heads),
        base_rate=0.5,
        seed=0,
    )
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in fitted.tensors.items()})
    return model


def as_checkpoint(fitted: FittedStudent) -> dict[str, Any]:
    """The part of a checkpoint's JSON that rebuilds the student around its tensors."""
    return {"encoder": fitted.encoder.as_json(), "shape": dict(fitted.shape), "heads": list(fitted.heads)}


def from_checkpoint(content: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]]) -> FittedStudent:
    """The inverse of `as_checkpoint`."""
    encoder = Encoder.from_json(content["encoder"])
    return FittedStudent(tensors, encoder, content["shape"], tuple(content["heads"]))


def can_continue(previous: FittedStudent, cascade: Cascade, student: Student, arm: Arm) -> bool:
    """Whether a checkpoint fits the declaration of today, so that training may be warm-started from it."""
    shape = {"embedding": student.embedding, "hidden": student.hidden, "output": student.output}
    # What a feature costs is no part of the model.
    before, now = (
        [feature.model_copy(update={"cost": 0.0}) for feature in features]
        for features in (previous.encoder.features, cascade.features_of(student))
    )
    return before == now and dict(previous.shape) == shape and previous.heads == heads_of(student, arm)


def _requests(rows: pl.DataFrame) -> int:
    return rows.select(name for name in ("day", "request_id") if name in rows.columns).n_unique()


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


def _model(
    student: Student, heads: tuple[str, ...], encoder: Encoder, previous: FittedStudent | None, base_rate: float
) -> "TwoTower":
    import torch

    from ukdsl_assets.learning.two_tower import TwoTower

    before = previous.tensors["embedding.weight"] if previous else np.empty((0, student.embedding), np.float32)
    model = TwoTower(
        table=torch.from_numpy(grow(before, encoder.size, student.seed)),
        request=encoder.count("request"),
        candidate=encoder.count("candidate"),
        hidden=student.hidden,
        output=student.output,
        heads=len(heads),
        base_rate=min(max(base_rate, 1e-6), 1 - 1e-6),
        seed=student.seed,
    )
    if previous:
        layers = {n: torch.from_numpy(np.array(v)) for n, v in previous.tensors.items() if n != "embedding.weight"}
        model.load_state_dict(layers, strict=False)
    return model


def _targets(student: Student, rows: pl.DataFrame, heads: tuple[str, ...]) -> "Targets":
    """Rows of IMP train the first head, rows of CD the last; each domain's weights sum to its loss weight."""
    from ukdsl_assets.learning.trainer import Targets

    considered = (rows["domain"] == "CD").to_numpy()
    weight = rows["weight"].to_numpy().astype(np.float64)
    for domain, loss_weight in ((~considered, student.loss.impression), (considered, student.loss.consideration)):
        total = weight[domain].sum()
        if total > 0:
            weight[domain] *= loss_weight / total
    return Targets(
        target=rows["target"].to_numpy().astype(np.float32),
        weight=weight.astype(np.float32),
        head=considered.astype(np.int64) * (len(heads) - 1),
    )
