"""Whether what a student declares goes together with its stage, its task and its teacher."""

from collections.abc import Callable, Iterator

from ukdsl_assets.declaration.corrections import GATES_OF_A_RELEASE
from ukdsl_assets.declaration.feature_rules import lists_of_ids, named_features, towers_of_both_sides
from ukdsl_assets.declaration.names import unknown_name
from ukdsl_assets.declaration.off_policy_rules import gate_off_policy
from ukdsl_assets.declaration.selection_rules import candidates_of_shown, wrong_selection
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.unchecked import UncheckedCascade
from ukdsl_assets.errors import did_you_mean

StudentRule = Callable[[UncheckedCascade, Student], Iterator[str]]


def wrong_student(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Each problem of a student; while its stage, task or teacher is unknown, that alone."""
    problems = [*_unknown_references(cascade, student)]
    if not problems:
        # Of a teacher whose stage is unknown nothing can be said of what it teaches; the teacher is told of it.
        stage_known = cascade.teacher(student.teacher).stage in [stage.name for stage in cascade.stages]
        for rule in (*OF_ITSELF, *OF_ITS_TEACHER) if stage_known else OF_ITSELF:
            problems += rule(cascade, student)
    return (f"students.{student.name}.{problem}" for problem in problems)


def _unknown_references(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """The stage, task and teacher that a student names."""
    yield from unknown_name("stage", student.stage, [stage.name for stage in cascade.stages])
    yield from unknown_name("task", student.task, [task.name for task in cascade.tasks])
    yield from unknown_name("teacher", student.teacher, [teacher.name for teacher in cascade.teachers])


def _delayed_feedback(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Tasks whose labels keep arriving need it said what becomes of fresh ones; others must not say it."""
    delayed = cascade.task(student.task).delayed
    if delayed != (student.delayed_feedback is not None):
        expected = (
            "correct or wait, since its labels keep arriving" if delayed else "nothing, since it is not `delayed`"
        )
        yield f"delayed_feedback: task `{student.task}`: saw {student.delayed_feedback}, expected {expected}"


def _teaches(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """A teacher stands no earlier than its student and labels the student's task."""
    teacher = cascade.teacher(student.teacher)
    if cascade.depth(teacher.stage) < cascade.depth(student.stage):
        yield f"teacher: `{teacher.name}` is of stage {teacher.stage}, before {student.stage}"
    if teacher.logged and student.task not in cascade.predictions_of(teacher.stage):
        yield f"teacher: stage {teacher.stage} logs no prediction of task `{student.task}`"
    if teacher.logged and teacher.stage == student.stage:
        yield f"teacher: `{teacher.name}` is what {student.stage} itself logged; expected one of a later stage"
    if teacher.foreign and student.task not in teacher.tasks:
        yield f"teacher: `{teacher.name}` maps no task to `{student.task}`; add it to its `tasks`"


def _labels_on_the_fly(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """On the fly label checkpoints of this cascade, uncorrected, the student's own task alone."""
    if student.labels != "on_the_fly":
        return
    teacher = cascade.teacher(student.teacher)
    if not teacher.trained_here:
        yield f"labels: `{teacher.name}` is {teacher.kind}; on the fly label those trained here"
    if student.correction != "none":
        yield "correction: labels on the fly are not corrected; expected labels: logged"
    if {*student.auxiliary_tasks} - {student.task}:
        yield (
            f"auxiliary_tasks: labels on the fly are of the student's own task; expected `{student.task}` alone, or "
            "labels: logged"
        )


def _correction(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Explored rows correct the teacher of a task whose labels are all there."""
    if student.correction == "exploration" and cascade.task(student.task).delayed:
        yield (
            f"correction: labels of task `{student.task}` are delayed, so fresh ones would correct the teacher down; "
            "expected none, or a known rate"
        )


def _accept(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Gates that are accepted by name are gates of a release."""
    for gate in student.accept:
        yield from unknown_name("accept", gate, GATES_OF_A_RELEASE)


def _auxiliary_tasks(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Head auxiliary learns tasks that the teacher labels."""
    taught = cascade.tasks_taught(cascade.teacher(student.teacher))
    for task in student.auxiliary_tasks:
        if task not in taught:
            yield (
                f"auxiliary_tasks: `{student.teacher}` labels no task `{task}`, expected some of {', '.join(taught)}"
                f"{did_you_mean(task, taught)}"
            )


def _representation(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Head representation matches the hidden layer of another cascade's teacher, which is of one task."""
    if "representation" not in student.heads:
        return
    teacher = cascade.teacher(student.teacher)
    if not teacher.foreign:
        yield f"heads: representation needs a teacher of kind cross_domain, `{teacher.name}` is {teacher.kind}"
        return
    matching = {s.task for s in cascade.students if s.teacher == teacher.name and "representation" in s.heads}
    if len(matching) > 1:
        yield (
            f"heads: students of tasks {', '.join(sorted(matching))} match the hidden layer of `{teacher.name}`, which "
            "is of one task; declare a teacher for each"
        )


def _label_tasks(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Further tasks whose labels train a student are declared."""
    for task in student.label_tasks:
        yield from unknown_name("label_tasks", task, [each.name for each in cascade.tasks])


# In the order in which their problems are told. The second asks what the teacher teaches at its stage.
OF_ITSELF: tuple[StudentRule, ...] = (named_features, wrong_selection, _delayed_feedback, _accept, gate_off_policy)
OF_ITS_TEACHER: tuple[StudentRule, ...] = (
    _teaches,
    _labels_on_the_fly,
    _correction,
    lists_of_ids,
    candidates_of_shown,
    _auxiliary_tasks,
    _representation,
    _label_tasks,
    towers_of_both_sides,
)
