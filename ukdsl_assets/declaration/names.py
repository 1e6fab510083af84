"""Names in a declaration: whether one is known, and whether two things have the same."""

from collections.abc import Iterator, Sequence

from ukdsl_assets.declaration.columns import (
    BETWEEN_PARTS,
    OF_NO_CASCADE,
    TABLES,
    delay_column,
    is_reserved,
    prediction_column,
)
from ukdsl_assets.declaration.unchecked import UncheckedCascade
from ukdsl_assets.errors import did_you_mean


def unknown_name(key: str, name: str | None, known: Sequence[str]) -> Iterator[str]:
    """The problem of a key that names none of the known ones; nothing for None, which names nothing."""
    if name is not None and name not in known:
        expected = ", ".join(known) or "(none declared)"
        yield f"{key}: unknown name `{name}`, expected one of {expected}{did_you_mean(name, known)}"


def repeated_names(cascade: UncheckedCascade) -> Iterator[str]:
    """Names that stand twice, or that a table, a column or a step has already."""
    yield from _declared_twice(cascade)
    yield from _names_of_steps(cascade)
    yield from _names_of_folders(cascade)
    yield from _names_of_columns(cascade)
    yield from _shared_columns(cascade)


def _declared_twice(cascade: UncheckedCascade) -> Iterator[str]:
    """Two blocks of one list with one name."""
    for key, names in (_columns(cascade) | _folders(cascade)).items():
        for name in sorted({each for each in names if names.count(each) > 1}):
            yield f"{key}: `{name}` is declared twice"


def _names_of_steps(cascade: UncheckedCascade) -> Iterator[str]:
    """Cascades, teachers and students whose steps could have one name: those of `a__b` and of `a` with student `b`."""
    if cascade.name in OF_NO_CASCADE:
        yield f"name: `{cascade.name}` is the name of assets that are of no cascade; choose another"
    for key, names in ({"name": [cascade.name]} | _folders(cascade)).items():
        for name in names:
            if BETWEEN_PARTS in name:
                yield f"{key}: `{name}` has two `_` side by side, which join the parts of a step's name; write one"


def _names_of_folders(cascade: UncheckedCascade) -> Iterator[str]:
    """Teachers and students that would share a folder of the lake with a table or with each other."""
    folders = _folders(cascade)
    for key, names in folders.items():
        for name in sorted(TABLES & {*names}):
            yield f"{key}: `{name}` is the name of a table; choose another"
    for name in sorted({*folders["teachers"]} & {*folders["students"]}):
        yield f"students: `{name}` is also a teacher's name; asset keys would collide"


def _names_of_columns(cascade: UncheckedCascade) -> Iterator[str]:
    """Stages, tasks and features named like a column that the tables have for themselves."""
    for key, names in _columns(cascade).items():
        for name in names:
            if is_reserved(name):
                yield f"{key}: `{name}` is reserved for the tables' own columns; choose another name"


def _shared_columns(cascade: UncheckedCascade) -> Iterator[str]:
    """Two things of a declaration whose columns would have one name."""
    predictions = [
        prediction_column(stage.name, task) for stage in cascade.stages for task in cascade.predictions_of(stage.name)
    ]
    if shared := [name for name in sorted(predictions) if predictions.count(name) > 1]:
        yield f"stages: two predictions share the column `{shared[0]}`"
    features = {feature.name for feature in cascade.features}
    for name in sorted(features & {delay_column(task.name) for task in cascade.delayed_tasks}):
        yield f"features: `{name}` is the column of a task's delay; choose another name"
    for name in sorted(features & {task.name for task in cascade.tasks}):
        yield f"features: `{name}` is also a task, whose label is a column"


def _columns(cascade: UncheckedCascade) -> dict[str, list[str]]:
    """Names that stand in columns, by key: stages in the names of predictions, tasks and features as they are."""
    return {
        "stages": [stage.name for stage in cascade.stages],
        "tasks": [task.name for task in cascade.tasks],
        "features": [feature.name for feature in cascade.features],
    }


def _folders(cascade: UncheckedCascade) -> dict[str, list[str]]:
    """Names of folders in the lake, by key."""
    return {
        "teachers": [teacher.name for teacher in cascade.teachers],
        "students": [student.name for student in cascade.students],
    }
