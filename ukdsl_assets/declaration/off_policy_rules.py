"""Whether what `off_policy` declares goes together with features, tasks and students."""

from collections.abc import Iterator

from ukdsl_assets.declaration.names import unknown_name
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.unchecked import UncheckedCascade


def wrong_off_policy(cascade: UncheckedCascade) -> Iterator[str]:
    """A slot that is no feature of what was shown, and a cascade none of whose students could be estimated."""
    declared, last = cascade.off_policy, cascade.stages[-1].name
    if declared is None:
        return
    of_shown = {f.name: f for f in cascade.features_of_shown}
    yield from unknown_name("off_policy.slot", declared.slot, list(of_shown))
    slot = of_shown.get(declared.slot) if declared.slot is not None else None
    if slot is not None and slot.values != "integer":
        yield f"off_policy.slot: `{slot.name}` has values of type {slot.values}, expected integer, from `served_as` on"
    if declared.slot is None and declared.estimator in ("pi", "rips", "cascade_dr"):
        yield f"off_policy.estimator: {declared.estimator} needs slots; name their feature by `slot`, or take sndr"
    if not cascade.estimated_students:
        yield (
            f"off_policy: no student is of {last}, the last stage, whose candidates explored requests show; declare "
            "one, or leave this out"
        )


def gate_off_policy(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """A release that the estimate decides needs one, of a task whose labels are all there."""
    if student.release.off_policy != "above_production":
        return
    key, last = "release.off_policy", cascade.stages[-1].name
    if cascade.off_policy is None:
        yield f"{key}: nothing is estimated; declare the cascade's `off_policy`, or leave this out"
    elif student.stage != last:
        yield f"{key}: only students of {last}, the last stage, are estimated, saw stage {student.stage}; expected told"
    elif cascade.task(student.task).delayed:
        yield f"{key}: labels of task `{student.task}` keep arriving, so its rewards are not estimated; expected told"
