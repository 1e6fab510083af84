"""Whether a student can have the features that it declares."""

from collections.abc import Iterator

from ukdsl_assets.declaration.names import unknown_name
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.unchecked import UncheckedCascade


def named_features(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Features that a student or its selection names are declared, and known at its stage."""
    known = [feature.name for feature in cascade.features_known_at(student.stage)]
    known_from = {feature.name: feature.known_from for feature in cascade.features}
    named = {"features": student.features}
    if student.selection is not None:
        named["selection.candidates"] = student.selection.candidates
    for key, names in named.items():
        for name in () if isinstance(names, str) else names:
            if name not in known and known_from.get(name):
                yield f"{key}: `{name}` is known only from stage {known_from[name]}, not at {student.stage}"
            else:
                yield from unknown_name(key, name, known)


def lists_of_ids(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Trees and the importance of a selection take no lists of ids."""
    used = {*cascade.features_of(student), *cascade.candidates_of(student)}
    lists = [f"`{each.name}`" for each in cascade.features if each in used and each.kind == "multi_valued"]
    if lists and (not student.architecture.is_network or student.selection is not None):
        yield (
            f"features: {', '.join(lists)}: multi_valued features are for networks without a selection; name the "
            "student's features without them"
        )


def towers_of_both_sides(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Two towers read features of both sides; for those of a selection see `selection_rules`."""
    sides = {feature.side for feature in cascade.features_of(student)}
    if student.features != "selected" and student.architecture.kind == "two_tower" and len(sides) < 2:
        yield f"features: two_tower needs features of both sides, saw {' and '.join(sorted(sides))}"
