"""The student that is released, or a day's distilled one, found below a lake: the one place where serving looks."""

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import DeclarationError, ScoringError, did_you_mean
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.learning.students.student import FittedStudent, from_checkpoint
from ukdsl_assets.settings import Settings


@dataclass(frozen=True, kw_only=True)
class LoadedStudent(FittedStudent):
    """A student read back from a lake, and which one it is.

    Attributes:
        day: of its checkpoint.
        version: of its checkpoint, 16 hexadecimal digits.
    """

    day: date
    version: str


def load_student(
    cascade: Cascade, student: str, day: date | None = None, lake: str | Path | None = None
) -> LoadedStudent:
    """The student that is released, or the distilled one of a day, as `ukdsl score` takes it.

    Args:
        cascade: that declares the student.
        student: its name.
        day: whose distilled checkpoint to take, released or not; None for what is released.
        lake: folder or fsspec URI of the lake; None for that of the settings (UKDSL_LAKE).

    Raises:
        DeclarationError: the cascade is none, or declares no such student; names those that it does.
        ScoringError: nothing of the student is released, or the day is no date.
        ValueError: fsspec knows no protocol of the lake's URI.
        LakeError: the day has no published checkpoint, or a file of it is not what was saved.

    Example, where `lake` is a lake in which `ukdsl run simulated_ads` has released a day:

        >>> from pathlib import Path
        >>> import ukdsl_assets
        >>> shipped = Path(ukdsl_assets.__file__).parent / "cascades"
        >>> cascade = ukdsl_assets.read_cascade(shipped / "simulated_ads.yaml")
        >>> student = ukdsl_assets.load_student(cascade, "pre_ranking_click", lake=lake)
        >>> student.heads  # the last one serves
        ('impression', 'consideration', 'scored')
        >>> print(student.day)
        2026-01-02
        >>> first = ukdsl_assets.load_student(cascade, "pre_ranking_click", cascade.first_day, lake)
        >>> print(first.day)
        2026-01-01
    """
    if not isinstance(cascade, Cascade):
        raise DeclarationError(f"cascade: saw {cascade!r}, expected a Cascade; read its file by read_cascade")
    if day is not None and type(day) is not date:
        raise ScoringError(f"day: saw {day!r}, expected a datetime.date such as {cascade.first_day!r}")
    names = [declared.name for declared in cascade.students]
    if student not in names:
        raise DeclarationError(
            f"{cascade.name} has no student `{student}`; declared are {', '.join(names) or '(none)'}"
            f"{did_you_mean(str(student), names)}"
        )
    settings = Settings() if lake is None else Settings(lake=str(lake))
    store, key = CheckpointStore(settings.checkpoints), (cascade.name, student)
    checkpoint = store.load_released(key) if day is None else store.load((*key, "distilled"), day)
    if checkpoint is None:
        raise ScoringError(
            f"{cascade.name}/{student}: nothing is released below {settings.lake}; run `ukdsl run {cascade.name} "
            "--days ...`, or name the day whose checkpoint to take"
        )
    fitted = from_checkpoint(checkpoint.metadata, checkpoint.tensors or {}, checkpoint.text)
    parts = {part.name: getattr(fitted, part.name) for part in fields(fitted)}
    return LoadedStudent(**parts, day=checkpoint.day, version=checkpoint.version)
