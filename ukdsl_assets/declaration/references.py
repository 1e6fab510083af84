"""Whether the names in a declaration refer to something, and nothing is declared twice."""

from typing import Any

from ukdsl_assets.declaration.columns import RESERVED, TABLES, delay_column, prediction_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.unchecked import UncheckedCascade
from ukdsl_assets.errors import did_you_mean


def wrong_references(cascade: UncheckedCascade) -> list[str]:
    """Each problem as `key: what was seen and expected`; empty for a sound declaration."""
    return [*_repeated_names(cascade), *_unknown_references(cascade)]


def _repeated_names(cascade: UncheckedCascade) -> list[str]:
    problems = []
    blocks = (("stages", cascade.stages), ("tasks", cascade.tasks), ("features", cascade.features))
    for key, items in (*blocks, ("teachers", cascade.teachers), ("students", cascade.students)):
        names = [item.name for item in items]
        problems += [f"{key}: `{name}` is declared twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for key, named in (("teachers", cascade.teachers), ("students", cascade.students)):
        problems += [
            f"{key}: `{n}` is the name of a table; choose another" for n in sorted({x.name for x in named} & TABLES)
        ]
    shared = {t.name for t in cascade.teachers} & {s.name for s in cascade.students}
    problems += [f"students: `{name}` is also a teacher's name; asset keys would collide" for name in sorted(shared)]
    for key, items in blocks:
        for item in items:
            if item.name in RESERVED or item.name.startswith("audit_") or item.name.endswith("_prediction"):
                problems.append(f"{key}: `{item.name}` is reserved for the tables' own columns; choose another name")
    columns = [
        prediction_column(stage.name, task) for stage in cascade.stages for task in cascade.predictions_of(stage.name)
    ]
    problems += [f"stages: two predictions share the column `{n}`" for n in sorted(columns) if columns.count(n) > 1][:1]
    delays = {delay_column(t.name) for t in cascade.tasks if t.delayed} & {f.name for f in cascade.features}
    problems += [f"features: `{name}` is the column of a task's delay; choose another name" for name in sorted(delays)]
    clash = {t.name for t in cascade.tasks} & {f.name for f in cascade.features}
    return problems + [f"features: `{name}` is also a task, whose label is a column" for name in sorted(clash)]


def _unknown_references(cascade: UncheckedCascade) -> list[str]:
    stages = [stage.name for stage in cascade.stages]
    tasks = [task.name for task in cascade.tasks]
    problems: list[str] = []

    def refer(key: str, name: str | None, known: list[str]) -> bool:
        if name is not None and name not in known:
            expected = ", ".join(known) or "(none declared)"
            problems.append(f"{key}: unknown name `{name}`, expected one of {expected}{did_you_mean(name, known)}")
            return False
        return True

    for stage in cascade.stages:
        for task in stage.predicts or ():
            refer(f"stages.{stage.name}.predicts", task, tasks)
    for declared in cascade.tasks:
        others = [other for other in tasks if other != declared.name]
        refer(f"tasks.{declared.name}.given", declared.given, others)
    for declared in cascade.tasks if not problems else ():
        seen, given = {declared.name}, declared.given
        while given is not None and given not in seen:
            seen.add(given)
            given = cascade.task(given).given
        if given is not None:
            problems.append(f"tasks.{declared.name}.given: the conditions lead back to `{given}`")
    for feature in cascade.features:
        refer(f"features.{feature.name}.known_from", feature.known_from, stages)
    for segment in cascade.segments:
        refer("segments", segment, [each.name for each in cascade.features if each.kind == "categorical"])
    if not problems:
        for teacher in cascade.teachers:
            known = refer(f"teachers.{teacher.name}.stage", teacher.stage, stages)
            if known and teacher.kind == "logged" and not cascade.predictions_of(teacher.stage):
                problems.append(
                    f"teachers.{teacher.name}: stage {teacher.stage} logs no prediction; declare a trained one"
                )
            for task in teacher.tasks if teacher.kind == "cross_domain" else ():
                refer(f"teachers.{teacher.name}.tasks", task, tasks)
        for student in cascade.students:
            _check_student(cascade, student, stages, tasks, refer, problems)
    if cascade.last_day is not None and cascade.last_day < cascade.first_day:
        problems.append(f"last_day: {cascade.last_day} is before first_day {cascade.first_day}")
    return problems


def _check_student(
    cascade: UncheckedCascade, student: Student, stages: list[str], tasks: list[str], refer: Any, problems: list[str]
) -> None:
    key = f"students.{student.name}"
    teachers = [teacher.name for teacher in cascade.teachers]
    references = [
        refer(f"{key}.stage", student.stage, stages),
        refer(f"{key}.task", student.task, tasks),
        refer(f"{key}.teacher", student.teacher, teachers),
    ]
    if not all(references):
        return
    _check_features(cascade, student, refer, problems)
    delayed = cascade.task(student.task).delayed
    if delayed != (student.delayed_feedback is not None):
        expected = (
            "correct or wait, since its labels keep arriving" if delayed else "nothing, since it is not `delayed`"
        )
        problems.append(
            f"{key}.delayed_feedback: task `{student.task}`: saw {student.delayed_feedback}, expected {expected}"
        )
    teacher = cascade.teacher(student.teacher)
    if teacher.stage not in stages:
        # Told of the teacher; nothing else can be said of what it teaches.
        return
    if cascade.depth(teacher.stage) < cascade.depth(student.stage):
        problems.append(f"{key}.teacher: `{teacher.name}` is of stage {teacher.stage}, before {student.stage}")
    if teacher.kind == "logged" and student.task not in cascade.predictions_of(teacher.stage):
        problems.append(f"{key}.teacher: stage {teacher.stage} logs no prediction of task `{student.task}`")
    if teacher.kind == "logged" and teacher.stage == student.stage:
        problems.append(
            f"{key}.teacher: `{teacher.name}` is what {student.stage} itself logged; expected one of a later stage"
        )
    if teacher.kind == "cross_domain" and student.task not in teacher.tasks:
        problems.append(f"{key}.teacher: `{teacher.name}` maps no task to `{student.task}`; add it to its `tasks`")
    if student.labels == "on_the_fly" and teacher.kind not in ("trained", "foundation"):
        problems.append(f"{key}.labels: `{teacher.name}` is {teacher.kind}; on the fly label those trained here")
    if student.labels == "on_the_fly" and student.correction != "none":
        problems.append(f"{key}.correction: labels on the fly are not corrected; expected labels: logged")
    if student.labels == "on_the_fly" and {*student.auxiliary_tasks} - {student.task}:
        problems.append(
            f"{key}.auxiliary_tasks: labels on the fly are of the student's own task; expected `{student.task}` alone, "
            "or labels: logged"
        )
    if student.correction == "exploration" and teacher.kind in ("trained", "foundation"):
        problems.append(
            f"{key}.correction: `{teacher.name}` is {teacher.kind} on all but withheld rows, which must not go into "
            "training by way of a correction; expected none, or a logged teacher"
        )
    if student.correction == "exploration" and cascade.task(student.task).delayed:
        problems.append(
            f"{key}.correction: labels of task `{student.task}` are delayed, so fresh ones would correct the teacher "
            "down; expected none"
        )
    used = {*cascade.features_of(student), *cascade.candidates_of(student)}
    lists = [f"`{each.name}`" for each in cascade.features if each in used and each.kind == "multi_valued"]
    if lists and (student.architecture.kind == "lightgbm" or student.selection is not None):
        problems.append(
            f"{key}.features: {', '.join(lists)}: multi_valued features are for networks without a selection; name the "
            "student's features without them"
        )
    placed = [f"`{each.name}`" for each in cascade.candidates_of(student) if each.served_as is not None]
    if placed:
        problems.append(
            f"{key}.selection.candidates: {', '.join(placed)}: a feature with `served_as` is not known when candidates "
            "are scored, so it costs nothing to serve; name the candidates without it"
        )
    taught = cascade.tasks_taught(teacher)
    problems += [
        f"{key}.auxiliary_tasks: `{teacher.name}` labels no task `{task}`, expected some of {', '.join(taught)}"
        f"{did_you_mean(task, taught)}"
        for task in student.auxiliary_tasks
        if task not in taught
    ]
    if "representation" in student.heads and teacher.kind != "cross_domain":
        problems.append(
            f"{key}.heads: representation needs a teacher of kind cross_domain, `{teacher.name}` is {teacher.kind}"
        )
    if "representation" in student.heads and teacher.kind == "cross_domain":
        matching = {s.task for s in cascade.students if s.teacher == teacher.name and "representation" in s.heads}
        if len(matching) > 1:
            problems.append(
                f"{key}.heads: students of tasks {', '.join(sorted(matching))} match the hidden layer of "
                f"`{teacher.name}`, which is of one task; declare a teacher for each"
            )
    for task in student.label_tasks:
        refer(f"{key}.label_tasks", task, tasks)
    sides = {feature.side for feature in cascade.features_of(student)}
    own = student.features != "selected"
    if own and student.architecture.kind == "two_tower" and sides != {"request", "candidate"}:
        problems.append(f"{key}.features: two_tower needs features of both sides, saw {' and '.join(sorted(sides))}")


def _check_features(cascade: UncheckedCascade, student: Student, refer: Any, problems: list[str]) -> None:
    """The features that a student names, and those that its selection may choose from."""
    known = [feature.name for feature in cascade.features_known_at(student.stage)]
    known_from = {feature.name: feature.known_from for feature in cascade.features}
    selection = student.selection
    named = {f"students.{student.name}.features": student.features}
    if selection is not None:
        named[f"students.{student.name}.selection.candidates"] = selection.candidates
    for key, names in named.items():
        for name in () if isinstance(names, str) else names:
            if name not in known and known_from.get(name):
                problems.append(f"{key}: `{name}` is known only from stage {known_from[name]}, not at {student.stage}")
            else:
                refer(key, name, known)
    if selection is None:
        if student.features == "selected":
            problems.append(
                f"students.{student.name}.features: `selected` without a `selection`; declare one, e.g. "
                "`selection: {budget: 12}`"
            )
        return
    key = f"students.{student.name}.selection"
    candidates = cascade.candidates_of(student)
    simplified = selection.architecture or student.architecture
    towers = "two_tower" in (simplified.kind, student.architecture.kind)
    sides = {feature.side for feature in candidates}
    if towers:
        if sides != {"request", "candidate"}:
            problems.append(
                f"{key}.candidates: two_tower needs features of both sides, saw {' and '.join(sorted(sides)) or 'none'}"
            )
        if selection.budget == 1:
            problems.append(f"{key}.budget: two_tower needs a feature of each side, saw 1; expected at least 2")
    network_only = (
        student.loss.temperature != 1 or student.loss.listwise or student.teacher_tasks or student.label_tasks
    )
    if simplified.kind == "lightgbm" and network_only:
        problems.append(
            f"{key}.architecture: the student's heads or loss have parts for networks; choose another than lightgbm"
        )
    if selection.budget is not None and selection.budget >= len(candidates):
        problems.append(
            f"{key}.budget: {selection.budget} of {len(candidates)} candidates leaves nothing to choose; expected fewer"
        )
    if selection.cost_budget is not None:
        # What must fit: the cheapest feature, or of two towers the cheapest of each.
        groups = [[f.cost for f in candidates if f.side == side] for side in sorted(sides)]
        least = sum(map(min, groups)) if towers else min(map(min, groups), default=0.0)
        if selection.cost_budget < least:
            problems.append(
                f"{key}.cost_budget: {selection.cost_budget} buys no student; the cheapest candidates cost {least}"
            )
