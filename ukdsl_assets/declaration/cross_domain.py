"""A teacher from another cascade: whether its mappings hold between the two declarations."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ukdsl_assets.declaration.architectures import WITH_HIDDEN_LAYER
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.teachers import CrossDomainTeacher, Default
from ukdsl_assets.errors import DeclarationError, did_you_mean


class SourceModel(NamedTuple):
    """What another cascade may teach with: what it reads, what it predicts, and whether it has a layer to match."""

    features: tuple[Feature, ...]
    tasks: tuple[str, ...]
    has_hidden_layer: bool


def check_cross_domain(cascades: Mapping[str, Cascade], of: Iterable[Cascade] | None = None) -> None:
    """Refuse a cross-domain teacher whose mappings do not hold between its cascade and the other one.

    Args:
        cascades: all, by name; of: those whose teachers are judged, all if left out.

    Raises:
        DeclarationError: names both cascades, each wrong key, what was seen and what was expected.
    """
    for cascade in cascades.values() if of is None else of:
        for teacher in cascade.teachers:
            if teacher.foreign and (problems := wrong_teacher(teacher, cascade, cascades)):
                lines = [f"  teachers.{teacher.name}.{problem}" for problem in problems]
                raise DeclarationError(
                    f"{cascade.origin or cascade.name}: cascade {cascade.name} takes teacher {teacher.name} from "
                    f"cascade {teacher.cascade}: {len(lines)} wrong key(s)\n" + "\n".join(lines)
                )


def wrong_teacher(teacher: CrossDomainTeacher, cascade: Cascade, cascades: Mapping[str, Cascade]) -> list[str]:
    """What is wrong with one teacher, each as `key: seen, expected`; empty for a sound one.

    While its cascade or model is unknown, or has nothing that its students are to match, that alone.
    """
    others = {name: other for name, other in cascades.items() if name != cascade.name}
    if teacher.cascade not in others:
        known = ", ".join(others) or "(no other is declared)"
        near = did_you_mean(teacher.cascade, others)
        return [f"cascade: expected another declared cascade, {known}; saw `{teacher.cascade}`{near}"]
    models, there = models_of(others[teacher.cascade]), _there(teacher)
    if teacher.model not in models:
        known, near = ", ".join(models) or "(none)", did_you_mean(teacher.model, models)
        return [f"model: `{teacher.model}` is no trained teacher or student of {teacher.cascade}; it has {known}{near}"]
    model = models[teacher.model]
    if cascade.task_matched_by(teacher) is not None and not model.has_hidden_layer:
        return [
            f"model: {there} has no hidden layer for head representation; expected a foundation teacher or a network"
        ]
    return [*_wrong_tasks(teacher, model.tasks), *wrong_features(teacher, cascade, model.features)]


def models_of(cascade: Cascade) -> dict[str, SourceModel]:
    """Models that another cascade may be taught by, trained teachers and students, by name."""
    tasks = tuple(task.name for task in cascade.tasks)
    trained = {
        each.name: SourceModel(cascade.features_known_at(each.stage), tasks, each.kind == "foundation")
        for each in cascade.teachers
        if each.trained_here
    }
    return trained | {
        each.name: SourceModel(cascade.features_of(each), (each.task,), each.architecture.kind in WITH_HIDDEN_LAYER)
        for each in cascade.students
    }


def wrong_features(teacher: CrossDomainTeacher, cascade: Cascade, theirs: Sequence[Feature]) -> Iterator[str]:
    """Problems of the feature mapping, each as `key: seen, expected`.

    Args:
        cascade: the one that is taught.
        theirs: features of the other cascade's model.
    """
    names = [feature.name for feature in theirs]
    for key, mapping in (("features", teacher.features), ("defaults", teacher.defaults)):
        for name in mapping:
            if name not in names:
                yield (
                    f"{key}.{name}: {_there(teacher)} has no feature `{name}`, expected some of {', '.join(names)}"
                    f"{did_you_mean(name, names)}"
                )
    for name in sorted(teacher.features.keys() & teacher.defaults.keys()):
        yield f"defaults.{name}: is mapped under `features` too; expected one of the two"
    for feature in theirs:
        if feature.name in teacher.defaults:
            yield from _wrong_default(feature, teacher.defaults[feature.name], _there(teacher))
        else:
            yield from _wrong_column(feature, teacher, cascade)


def _there(teacher: CrossDomainTeacher) -> str:
    """The other cascade's model, as messages name it."""
    return f"{teacher.cascade}/{teacher.model}"


def _wrong_tasks(teacher: CrossDomainTeacher, theirs: Sequence[str]) -> Iterator[str]:
    """Tasks here that are labelled by a task which the model does not predict."""
    for here, there in teacher.tasks.items():
        if there not in theirs:
            yield (
                f"tasks.{here}: {_there(teacher)} predicts no task `{there}`, expected one of {', '.join(theirs)}"
                f"{did_you_mean(there, theirs)}"
            )


def _wrong_column(feature: Feature, teacher: CrossDomainTeacher, cascade: Cascade) -> Iterator[str]:
    """A feature of the model that no feature here can fill."""
    known = {each.name: each for each in cascade.features_known_at(teacher.stage)}
    ours = teacher.features.get(feature.name, feature.name)
    if ours in known:
        yield from _wrong_type(feature, known[ours], _there(teacher), cascade.name)
    elif feature.name in teacher.features:
        yield (
            f"features.{feature.name}: {cascade.name} has no feature `{ours}` at stage {teacher.stage}, expected "
            f"one of {', '.join(known)}{did_you_mean(ours, known)}"
        )
    else:
        yield (
            f"features: {_there(teacher)} needs `{feature.name}`, which {cascade.name} has not at stage "
            f"{teacher.stage}; map it (features.{feature.name}) or give its value (defaults.{feature.name})"
        )


def _wrong_type(feature: Feature, ours: Feature, there: str, here: str) -> Iterator[str]:
    """A feature here whose values are of another kind, or differ where the model expects one a request."""
    expected, seen = _type_of(feature), _type_of(ours)
    if seen != expected:
        yield f"features.{feature.name}: `{ours.name}` of {here} is {seen}, {there} expects {expected}"
    elif ours.may_be_missing and not feature.may_be_missing and not feature.of_ids:
        yield (
            f"features.{feature.name}: `{ours.name}` of {here} may be missing, {there} expects {expected} in every "
            "row; give a default, or declare `missing: allowed` there and train it again"
        )
    elif feature.side == "request" and ours.side == "candidate":
        yield (
            f"features.{feature.name}: `{ours.name}` of {here} differs between the candidates of a request, {there} "
            "expects one value a request; give a default"
        )


def _wrong_default(feature: Feature, value: Default, there: str) -> Iterator[str]:
    """A default that is no value of the model's feature."""
    fits = {
        "integer": value is None or type(value) is int,
        "string": value is None or isinstance(value, str),
        "numeric": type(value) in (int, float) or (value is None and feature.may_be_missing),
        # Without a value there is the empty list.
        "multi_valued": value is None,
        "vector": (isinstance(value, tuple) and len(value) == feature.width)
        or (value is None and feature.may_be_missing),
    }
    if not fits[feature.values if feature.kind == "categorical" else feature.kind]:
        yield f"defaults.{feature.name}: saw {value!r}, {there} expects {_type_of(feature)}"


def _type_of(feature: Feature) -> str:
    """Values of a feature, for people."""
    if feature.kind == "vector":
        return f"a vector of {feature.width} numbers"
    if feature.kind == "multi_valued":
        return f"a list of {feature.values} ids"
    return "a number" if feature.kind == "numeric" else f"a categorical of {feature.values} ids"
