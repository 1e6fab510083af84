"""The simplified student: all candidate features, on labelled and teacher-labelled rows (paper, 4.2, step 3)."""

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.declaration.students import Student


def selection_of(student: Student) -> Selection:
    """The student's selection.

    Raises:
        ValueError: for a student without one.
    """
    if student.selection is None:
        raise ValueError(f"student {student.name} has no selection")
    return student.selection


def simplified(cascade: Cascade, student: Student, training: int) -> Student:
    """The declaration of one training; each has a seed of its own."""
    selection = selection_of(student)
    return student.model_copy(
        update={
            "features": tuple(feature.name for feature in cascade.candidates_of(student)),
            "architecture": selection.architecture or student.architecture,
            "window_days": selection.window_days,
            "seed": student.seed + training,
        }
    )


def with_features(student: Student, names: tuple[str, ...]) -> Student:
    """The student as declared, with the given features; their order in the declaration stays."""
    return student.model_copy(update={"features": names})
