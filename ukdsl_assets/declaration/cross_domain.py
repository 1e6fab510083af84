"""A teacher from another cascade: its declaration, and whether its mappings hold between the two declarations."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ukdsl_assets.declaration.architectures import WITH_HIDDEN_LAYER
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.teachers import CrossDomainTeacher, Default
from ukdsl_assets.errors import DeclarationError, did_you_mean


def check_cross_domain(cascades: Mapping[str, Cascade]) -> None:
    """Refuse a cross-domain teacher whose mappings do not hold between its cascade and the other one.

    Raises:
        DeclarationError: names both cascades, each wrong key, what was seen and what was expected.
    """
    for cascade in cascades.values():
        for teacher in cascade.teachers:
            if teacher.foreign and (problems := wrong_teacher(teacher, cascade, cascades)):
                lines = [f"  teachers.{teacher.name}.{problem}" for problem in problems]
                raise DeclarationError(
                    f"{cascade.origin or cascade.name}: cascade {cascade.name} takes teacher {teacher.name} from "
                    f"cascade {teacher.cascade}: {len(lines)} wrong key(s)\n" + "\n".join(lines)
                )


def wrong_teacher(teacher: CrossDomainTeacher, cascade: Cascade, cascades: Mapping[str, Cascade]) -> list[str]:
    """What is wrong with one teacher, each as `key: seen, expected`; empty for a sound one."""
    other = cascades.get(teacher.cascade)
    if other is None or other is cascade:
        others = ", ".join(name for name in cascades if name != cascade.name) or "(no other is declared)"
        near = did_you_mean(teacher.cascade, [name for name in cascades if name != cascade.name])
        return [f"cascade: expected another declared cascade, {others}; saw `{teacher.cascade}`{near}"]
    models = models_of(other)
    if teacher.model not in models:
        known = ", ".join(models) or "(none)"
        near = did_you_mean(teacher.model, models)
        return [f"model: `{teacher.model}` is no trained teacher or student of {other.name}; it has {known}{near}"]
    features, tasks, has_hidden_layer = models[teacher.model]
    there = f"{other.name}/{teacher.model}"
    if cascade.task_matched_by(teacher) is not None and not has_hidden_layer:
        return [
            f"model: {there} has no hidden layer for head representation; expected a foundation teacher or a network"
        ]
    wrong_tasks = [
        f"tasks.{ours}: {there} predicts no task `{theirs}`, expected one of {', '.join(tasks)}"
        f"{did_you_mean(theirs, tasks)}"
        for ours, theirs in teacher.tasks.items()
        if theirs not in tasks
    ]
    return wrong_tasks + list(wrong_features(teacher, cascade, features))


def models_of(cascade: Cascade) -> dict[str, tuple[tuple[Feature, ...], tuple[str, ...], bool]]:
    """What another cascade may be taught by, trained teachers and students: features and tasks of each by name, and
    whether it has a hidden layer to match."""
    tasks = tuple(task.name for task in cascade.tasks)
    trained = {
        each.name: (cascade.features_known_at(each.stage), tasks, each.kind == "foundation")
        for each in cascade.teachers
        if each.trained_here
    }
    return trained | {
        each.name: (cascade.features_of(each), (each.task,), each.architecture.kind in WITH_HIDDEN_LAYER)
        for each in cascade.students
    }


def wrong_features(teacher: CrossDomainTeacher, cascade: Cascade, theirs: Sequence[Feature]) -> Iterator[str]:
    """Problems of the feature mapping, each as `key: seen, expected`.

    Args:
        cascade: the one that is taught.
        theirs: features of the other cascade's model.
    """
    there = f"{teacher.cascade}/{teacher.model}"
    known = {feature.name: feature for feature in cascade.features_known_at(teacher.stage)}
    names = [feature.name for feature in theirs]
    for key, mapping in (("features", teacher.features), ("defaults", teacher.defaults)):
        for name in mapping:
            if name not in names:
                yield (
                    f"{key}.{name}: {there} has no feature `{name}`, expected some of {', '.join(names)}"
                    f"{did_you_mean(name, names)}"
                )
    for name in sorted(teacher.features.keys() & teacher.defaults.keys()):
        yield f"defaults.{name}: is mapped under `features` too; expected one of the two"
    for feature in theirs:
        if feature.name in teacher.defaults:
            yield from _wrong_default(feature, teacher.defaults[feature.name], there)
            continue
        ours = teacher.features.get(feature.name, feature.name)
        if ours in known:
            yield from _wrong_type(feature, known[ours], there, cascade.name)
        elif feature.name in teacher.features:
            yield (
                f"features.{feature.name}: {cascade.name} has no feature `{ours}` at stage {teacher.stage}, expected "
                f"one of {', '.join(known)}{did_you_mean(ours, known)}"
            )
        else:
            yield (
                f"features: {there} needs `{feature.name}`, which {cascade.name} has not at stage {teacher.stage}; "
                f"map it (features.{feature.name}) or give its value (defaults.{feature.name})"
            )


def _wrong_type(feature: Feature, ours: Feature, there: str, here: str) -> Iterable[str]:
    expected, actual = _type_of(feature), _type_of(ours)
    if actual != expected:
        yield f"features.{feature.name}: `{ours.name}` of {here} is {actual}, {there} expects {expected}"
    elif feature.side == "request" and ours.side == "candidate":
        yield (
            f"features.{feature.name}: `{ours.name}` of {here} differs between the candidates of a request, {there} "
            "expects one value a request; give a default"
        )


def _wrong_default(feature: Feature, value: Default, there: str) -> Iterable[str]:
    fits: dict[str, Any] = {
        "integer": value is None or type(value) is int,
        "string": value is None or isinstance(value, str),
        "numeric": type(value) in (int, float),
        # Without a value there is the empty list.
        "multi_valued": value is None,
        "vector": isinstance(value, tuple) and len(value) == feature.width,
    }
    if not fits[feature.values if feature.kind == "categorical" else feature.kind]:
        yield f"defaults.{feature.name}: saw {value!r}, {there} expects {_type_of(feature)}"


def _type_of(feature: Feature) -> str:
    if feature.kind == "vector":
        return f"a vector of {feature.width} numbers"
    if feature.kind == "multi_valued":
        return f"a list of {feature.values} ids"
    return "a number" if feature.kind == "numeric" else f"a categorical of {feature.values} ids"
