"""Whether the blocks of a declaration go together: what is wrong between them, in the order of the file."""

from collections.abc import Iterator

from ukdsl_assets.declaration.names import repeated_names, unknown_name
from ukdsl_assets.declaration.off_policy_rules import wrong_off_policy
from ukdsl_assets.declaration.page_rules import wrong_page
from ukdsl_assets.declaration.student_rules import wrong_student
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.declaration.unchecked import UncheckedCascade


def wrong_references(cascade: UncheckedCascade) -> list[str]:
    """Each problem as `key: what was seen and expected`; empty for a sound declaration.

    What teachers and students mean depends on stages, tasks and features: while those are wrong, only they are judged.
    """
    problems = [*_wrong_conditions(cascade), *_wrong_features(cascade)]
    if not problems:
        for teacher in cascade.teachers:
            problems += _wrong_teacher(cascade, teacher)
        for student in cascade.students:
            problems += wrong_student(cascade, student)
        problems += wrong_page(cascade)
        problems += wrong_off_policy(cascade)
    return [*repeated_names(cascade), *problems, *_wrong_days(cascade)]


def _wrong_conditions(cascade: UncheckedCascade) -> Iterator[str]:
    """Tasks that stages predict and that other tasks are given; if all are known, conditions in a circle."""
    unknown = [*_unknown_tasks(cascade)]
    yield from unknown or _circles(cascade)


def _unknown_tasks(cascade: UncheckedCascade) -> Iterator[str]:
    """Tasks that a stage or another task names and that are not declared."""
    tasks = [task.name for task in cascade.tasks]
    for stage in cascade.stages:
        for name in stage.predicts or ():
            yield from unknown_name(f"stages.{stage.name}.predicts", name, tasks)
    for task in cascade.tasks:
        others = [other for other in tasks if other != task.name]
        yield from unknown_name(f"tasks.{task.name}.given", task.given, others)


def _circles(cascade: UncheckedCascade) -> Iterator[str]:
    """Tasks whose conditions lead back to one of them; all that are `given` are known."""
    for task in cascade.tasks:
        visited, given = {task.name}, task.given
        while given is not None and given not in visited:
            visited.add(given)
            given = cascade.task(given).given
        if given is not None:
            yield f"tasks.{task.name}.given: the conditions lead back to `{given}`"


def _wrong_features(cascade: UncheckedCascade) -> Iterator[str]:
    """Stages that features are known from, and segments that are no categorical feature."""
    stages = [stage.name for stage in cascade.stages]
    for feature in cascade.features:
        yield from unknown_name(f"features.{feature.name}.known_from", feature.known_from, stages)
    categorical = [feature.name for feature in cascade.features if feature.kind == "categorical"]
    for segment in cascade.segments:
        yield from unknown_name("segments", segment, categorical)


def _wrong_teacher(cascade: UncheckedCascade, teacher: Teacher) -> Iterator[str]:
    """The stage that a teacher names, what that logs, and the tasks that another cascade's teacher is mapped to."""
    key = f"teachers.{teacher.name}"
    unknown = [*unknown_name(f"{key}.stage", teacher.stage, [stage.name for stage in cascade.stages])]
    yield from unknown
    if not unknown and teacher.logged and not cascade.predictions_of(teacher.stage):
        yield f"{key}: stage {teacher.stage} logs no prediction; declare a trained one"
    if teacher.foreign:
        for name in teacher.tasks:
            yield from unknown_name(f"{key}.tasks", name, [task.name for task in cascade.tasks])


def _wrong_days(cascade: UncheckedCascade) -> Iterator[str]:
    """A last day before the first."""
    if cascade.last_day is not None and cascade.last_day < cascade.first_day:
        yield f"last_day: {cascade.last_day} is before first_day {cascade.first_day}"
