"""Whether a student's selection has something to choose from, and can pay for what it must choose."""

from collections.abc import Iterator

from ukdsl_assets.declaration.architectures import LightGbmArchitecture, NeuralArchitecture
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.unchecked import UncheckedCascade


def wrong_selection(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """Each problem of a student's selection; `features: selected` needs one."""
    selection = student.selection
    if selection is not None:
        yield from _two_towers(cascade, student, selection)
        yield from _simplified_trees(student, selection)
        yield from _budget(cascade, student, selection)
        yield from _cost_budget(cascade, student, selection)
    elif student.features == "selected":
        yield "features: `selected` without a `selection`; declare one, e.g. `selection: {budget: 12}`"


def candidates_of_shown(cascade: UncheckedCascade, student: Student) -> Iterator[str]:
    """A selection chooses none of the features that are unknown when candidates are scored."""
    placed = [f"`{each.name}`" for each in cascade.candidates_of(student) if each.served_as is not None]
    if placed:
        yield (
            f"selection.candidates: {', '.join(placed)}: a feature with `served_as` is not known when candidates are "
            "scored, so it costs nothing to serve; name the candidates without it"
        )


def _two_towers(cascade: UncheckedCascade, student: Student, selection: Selection) -> Iterator[str]:
    """Two towers need a feature of each side to choose from, and a budget for both."""
    if not _has_towers(student, selection):
        return
    sides = {feature.side for feature in cascade.candidates_of(student)}
    if len(sides) < 2:
        present = " and ".join(sorted(sides)) or "none"
        yield f"selection.candidates: two_tower needs features of both sides, saw {present}"
    if selection.budget == 1:
        yield "selection.budget: two_tower needs a feature of each side, saw 1; expected at least 2"


def _simplified_trees(student: Student, selection: Selection) -> Iterator[str]:
    """A simplified student of trees has no heads and no loss that are for networks."""
    network_only = (
        student.loss.temperature != 1 or student.loss.listwise or student.teacher_tasks or student.label_tasks
    )
    if network_only and not _simplified(student, selection).is_network:
        yield (
            "selection.architecture: the student's heads or loss have parts for networks; choose another than lightgbm"
        )


def _budget(cascade: UncheckedCascade, student: Student, selection: Selection) -> Iterator[str]:
    """A number of features leaves some to choose."""
    candidates = len(cascade.candidates_of(student))
    if selection.budget is not None and selection.budget >= candidates:
        yield (
            f"selection.budget: {selection.budget} of {candidates} candidates leaves nothing to choose; expected fewer"
        )


def _cost_budget(cascade: UncheckedCascade, student: Student, selection: Selection) -> Iterator[str]:
    """What features may cost buys the cheapest one, or of two towers the cheapest of each."""
    if selection.cost_budget is None:
        return
    costs: dict[str, list[float]] = {}
    for feature in cascade.candidates_of(student):
        costs.setdefault(feature.side, []).append(feature.cost)
    cheapest = [min(costs[side]) for side in sorted(costs)]
    least = sum(cheapest) if _has_towers(student, selection) else min(cheapest, default=0.0)
    if selection.cost_budget < least:
        yield f"selection.cost_budget: {selection.cost_budget} buys no student; the cheapest candidates cost {least}"


def _simplified(student: Student, selection: Selection) -> NeuralArchitecture | LightGbmArchitecture:
    """Architecture of the student that measures importance."""
    return selection.architecture or student.architecture


def _has_towers(student: Student, selection: Selection) -> bool:
    """Whether the student or the one that measures importance has two towers."""
    return "two_tower" in (_simplified(student, selection).kind, student.architecture.kind)
