"""The student that is released, or one of a day, found below a lake: the one place where serving looks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.sound import sound_cascades
from ukdsl_assets.errors import DeclarationError, ScoringError, did_you_mean
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.learning.students.student import Arm, FittedStudent, from_checkpoint
from ukdsl_assets.serving.scorer import BATCH_ROWS, Scorer, kept_columns, with_prediction
from ukdsl_assets.settings import Settings

_FRAME = "the frame"


@dataclass(frozen=True, kw_only=True)
class LoadedStudent(FittedStudent):
    """A student read back from a lake, and which one it is.

    Attributes:
        day: of its checkpoint.
        version: of its checkpoint, 16 hexadecimal digits.
        arm: `distilled`, or `baseline` for the equal-effort control.
        threads: that score, of the settings (UKDSL_TRAINING_THREADS).
    """

    day: date
    version: str
    arm: str
    threads: int = 1

    def score(self, frame: pl.DataFrame, head: str | None = None, keep: Sequence[str] | None = None) -> pl.DataFrame:
        """What `ukdsl score` writes for a file of these rows, bit by bit.

        Args:
            frame: candidates in any order, with the student's features; other columns are not read. Unknown ids take
                the feature's unknown row. A feature with `served_as` is not read: all have that value.
            head: which output; None for the one that serves.
            keep: columns to keep; None for request_id and candidate_id, where the frame has them.

        Returns:
            A row for each of the frame, in its order: the kept columns, and float32 `prediction`.

        Raises:
            ScoringError: no polars DataFrame, an unknown head, a feature without its column or, where it may not be
                missing, without a value; a column to keep that is not there.
            ContractError: a feature of another type.
        """
        if not isinstance(frame, pl.DataFrame):
            raise ScoringError(
                f"frame: saw {type(frame).__module__}.{type(frame).__qualname__}, expected a polars DataFrame; collect "
                "a LazyFrame, or take polars.from_pandas or polars.from_arrow"
            )
        scorer = self._scorer
        chosen = scorer.checked_head(head, "head")
        scorer.check_columns(frame.columns, _FRAME)
        kept = kept_columns(frame.columns, keep, _FRAME, "keep")
        prepared = (scorer.prepared(part, _FRAME) for part in _parts(frame))
        predictions = []
        for part in prepared:
            if scorer.lacks_values(part):
                raise scorer.refusal(_parts(frame), _FRAME)
            predictions.append(scorer.predictions(part, chosen))
        return with_prediction(frame, kept, np.concatenate(predictions))

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(self, self.threads)


def load_student(
    cascade: Cascade | str,
    student: str,
    day: date | None = None,
    lake: str | Path | None = None,
    arm: Arm = "distilled",
) -> LoadedStudent:
    """The student that is released, or one of a day, as `ukdsl score` takes it.

    Args:
        cascade: that declares the student, or its name: of a shipped one, or of one in UKDSL_CASCADES.
        student: its name.
        day: whose checkpoint to take, released or not; None for what is released.
        lake: folder or fsspec URI of the lake; None for that of the settings (UKDSL_LAKE).
        arm: `distilled`, or `baseline` for the equal-effort control of a day, which is never released.

    Raises:
        DeclarationError: there is no such cascade, or it declares no such student; names those there are.
        ScoringError: nothing of the student is released, the day is no date, or a baseline is asked for without a day.
        ValueError: fsspec knows no protocol of the lake's URI.
        LakeError: the day has no published checkpoint, or a file of it is not what was saved.

    Example, where `lake` is a lake in which `ukdsl run simulated_ads` has released a day, and `rows` are candidates:

        >>> from datetime import date
        >>> from ukdsl_assets import load_student
        >>> student = load_student("simulated_ads", "pre_ranking_click", lake=lake)
        >>> student.heads  # the last one serves
        ('impression', 'consideration', 'scored')
        >>> print(student.day)
        2026-01-02
        >>> scores = student.score(rows)
        >>> scores.columns
        ['request_id', 'candidate_id', 'prediction']
        >>> bool(scores["prediction"].is_between(0, 1).all())
        True
        >>> first = load_student("simulated_ads", "pre_ranking_click", date(2026, 1, 1), lake)
        >>> print(first.day)
        2026-01-01
    """
    settings = Settings() if lake is None else Settings(lake=str(lake))
    cascade = _declared(cascade, settings)
    if day is not None and type(day) is not date:
        raise ScoringError(f"day: saw {day!r}, expected a datetime.date such as {cascade.first_day!r}")
    names = [declared.name for declared in cascade.students]
    if student not in names:
        raise DeclarationError(
            f"{cascade.name} has no student `{student}`; declared are {', '.join(names) or '(none)'}"
            f"{did_you_mean(str(student), names)}"
        )
    if arm not in ("distilled", "baseline"):
        raise ScoringError(f"arm: saw {arm!r}, expected distilled or baseline")
    if arm == "baseline" and day is None:
        raise ScoringError(
            f"{cascade.name}/{student}: a baseline is never released; name the day whose baseline to take (--day, day=)"
        )
    store, key = CheckpointStore(settings.checkpoints), (cascade.name, student)
    checkpoint = store.load_released(key) if day is None else store.load((*key, arm), day)
    if checkpoint is None:
        raise ScoringError(
            f"{cascade.name}/{student}: nothing is released below {settings.lake}; run `ukdsl run {cascade.name} "
            "--days ...`, or name the day whose checkpoint to take"
        )
    fitted = from_checkpoint(checkpoint.metadata, checkpoint.tensors or {}, checkpoint.text)
    parts = {part.name: getattr(fitted, part.name) for part in fields(fitted)}
    return LoadedStudent(
        **parts,
        day=checkpoint.day,
        version=checkpoint.version,
        arm=checkpoint.key[-1],
        threads=settings.training_threads,
    )


def _declared(cascade: Cascade | str, settings: Settings) -> Cascade:
    if isinstance(cascade, Cascade):
        return cascade
    if not isinstance(cascade, str):
        raise DeclarationError(f"cascade: saw {cascade!r}, expected a name, or a Cascade as read_cascade gives it")
    cascades, wrong = sound_cascades(settings.cascades)
    if cascade not in cascades:
        left_out = "".join(f"\nLeft out, because it is wrong: {each}" for each in wrong)
        raise DeclarationError(
            f"no cascade `{cascade}`; declared are {', '.join(cascades)}{did_you_mean(cascade, cascades)}. Set "
            f"UKDSL_CASCADES to a folder of your own YAML, or give what read_cascade gives{left_out}"
        )
    return cascades[cascade]


def _parts(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """As many rows at once as a file is scored with; one part without rows of a frame without any."""
    return [frame[start : start + BATCH_ROWS] for start in range(0, max(len(frame), 1), BATCH_ROWS)]
