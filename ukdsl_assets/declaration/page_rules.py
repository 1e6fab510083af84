"""Whether a page's rules name what there is, and whether any page at all can keep them."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from ukdsl_assets.declaration.names import unknown_name
from ukdsl_assets.declaration.page import Page, Value
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.unchecked import UncheckedCascade


def wrong_page(cascade: UncheckedCascade) -> list[str]:
    """Each problem of a cascade's page; empty for one without. What rules say together is judged once they are sound.

    Contradictions that depend on a request's candidates are no problem of the declaration: a page then gives way.
    """
    page = cascade.page
    if page is None:
        return []
    problems = [*_wrong_value(cascade, page), *_wrong_slot_weights(page), *_wrong_features(cascade, page)]
    return problems or [*_wrong_pins(page), *_wrong_together(page)]


def _wrong_value(cascade: UncheckedCascade, page: Page) -> Iterator[str]:
    """Students that are there, of one stage and a task each, with those of the tasks that others are given."""
    names = [student.name for student in cascade.students]
    unknown = [problem for name in page.value for problem in unknown_name("page.value", name, names)]
    yield from unknown
    if unknown:
        return
    students = [cascade.student(name) for name in page.value]
    if len(stages := list(dict.fromkeys(student.stage for student in students))) > 1:
        yield f"page.value: students of stages {' and '.join(stages)}; a page is of one stage's candidates"
    tasks = [student.task for student in students]
    for task, count in Counter(tasks).items():
        if count > 1:
            yield f"page.value: {count} students predict {task}; name one of them"
    for student in students:
        for given in cascade.conditions_of(student.task):
            if given not in tasks:
                yield (
                    f"page.value: {student.name} predicts {student.task} given {given}, and no student named there "
                    f"predicts {given}; add one, with weight 0 where {given} is worth nothing by itself"
                )
    if not any(page.value.values()):
        yield "page.value: all weights are 0, so that every page is worth the same; give one a weight above 0"


def _wrong_slot_weights(page: Page) -> Iterator[str]:
    """A weight a slot, none above the one before."""
    weights = page.slot_weights
    if weights is None:
        return
    if len(weights) != page.slots:
        yield f"page.slot_weights: {len(weights)} weights for {page.slots} slots; give one a slot"
    elif any(after > before for before, after in pairwise(weights)):
        yield "page.slot_weights: they rise from one slot to the next; expected falling or level ones"


def _wrong_features(cascade: UncheckedCascade, page: Page) -> Iterator[str]:
    """Features that rules read: of the candidate, known before it has a slot, and of the kind that a rule compares."""
    named = [
        *((f"page.eligible.{name}", name) for name in page.eligible),
        *((f"page.pinned.(number {number})", pin.feature) for number, pin in enumerate(page.pinned, 1)),
        *((f"page.at_most.{name}", name) for name in page.at_most),
        *(("page.not_side_by_side", name) for name in page.not_side_by_side),
        *((f"page.at_least_different.{name}", name) for name in page.at_least_different),
    ]
    features = {feature.name: feature for feature in cascade.features}
    for key, name in named:
        unknown = [*unknown_name(key, name, list(features))]
        yield from unknown or _unfit(key, features[name], page)
    for number, pin in enumerate(page.pinned, 1):
        if pin.feature in features:
            yield from _other_type(f"page.pinned.(number {number}).value", features[pin.feature], (pin.value,))
    for name, allowed in page.eligible.items():
        if name in features and allowed.one_of is not None:
            yield from _other_type(f"page.eligible.{name}.one_of", features[name], allowed.one_of)


def _unfit(key: str, feature: Feature, page: Page) -> Iterator[str]:
    """A feature that the rule of this key cannot read."""
    if feature.side != "candidate":
        yield f"{key}: `{feature.name}` is of the request, alike for all candidates; name one of the candidate"
    if feature.served_as is not None:
        yield f"{key}: `{feature.name}` is only known of what was shown; name one that is known before"
    in_range = key.startswith("page.eligible.") and page.eligible[feature.name].one_of is None
    expected = "numeric" if in_range else "categorical"
    if feature.kind != expected:
        says = (
            "`at_least` and `at_most` are for numeric ones" if in_range else "values are compared of categorical ones"
        )
        yield f"{key}: `{feature.name}` is {feature.kind}; {says}"


def _other_type(key: str, feature: Feature, values: tuple[Value, ...]) -> Iterator[str]:
    """Values of another type than a categorical feature's ids."""
    wrong = [value for value in values if isinstance(value, str) != (feature.values == "string")]
    if wrong and feature.of_ids:
        yield f"{key}: {wrong[0]!r} is no value of `{feature.name}`, which is of type {feature.values}"


def _wrong_pins(page: Page) -> Iterator[str]:
    """Pins that no page can hold together, or that another rule refuses."""
    if len(page.pinned) > page.slots:
        yield f"page.pinned: {len(page.pinned)} pins for {page.slots} slots; leave some out, or declare more slots"
        return
    by_slot = page.pins_by_slot
    for slot, count in Counter(slot for slot, _ in by_slot).items():
        if count > 1:
            yield f"page.pinned: {count} pins on slot {slot + 1}; leave one, or move the others"
    for slot, pin in by_slot:
        if slot >= page.slots:
            yield f"page.pinned: slot {slot + 1} of {page.slots}; expected 1 to {page.slots}"
        allowed = page.eligible.get(pin.feature)
        if allowed is not None and allowed.one_of is not None and pin.value not in allowed.one_of:
            yield (
                f"page.pinned: {pin.feature} {pin.value!r} is pinned, and page.eligible.{pin.feature} refuses it; drop "
                "the pin, or add the value there"
            )
    for (feature, value), count in _pinned_values(page).items():
        most = page.at_most.get(feature)
        if most is not None and count > most:
            yield (
                f"page.at_most.{feature}: {count} pins hold {feature} {value!r}, and at most {most} may be shown; "
                "raise it, or leave pins out"
            )
    held = dict(by_slot)
    for slot, pin in by_slot:
        below = held.get(slot + 1)
        alike = below is not None and (below.feature, below.value) == (pin.feature, pin.value)
        if alike and pin.feature in page.not_side_by_side:
            yield (
                f"page.not_side_by_side: {pin.feature} {pin.value!r} is pinned to slots {slot + 1} and {slot + 2}; "
                "move a pin, or drop the rule"
            )


def _wrong_together(page: Page) -> Iterator[str]:
    """Rules of a feature that no page of so many slots can keep, whatever the candidates are."""
    pinned = _pinned_values(page)
    for name, least in page.at_least_different.items():
        repeated = sum(count - 1 for (feature, _), count in pinned.items() if feature == name)
        if least > page.slots - repeated:
            of_pins = f", of which pins repeat {repeated} value(s)" if repeated else ""
            yield f"page.at_least_different.{name}: {least} values in {page.slots} slots{of_pins}; lower it"
    for name, allowed in page.eligible.items():
        if allowed.one_of is None:
            continue
        values = len(set(allowed.one_of))
        least, most = page.at_least_different.get(name, 0), page.at_most.get(name, page.slots)
        if least > values:
            yield (
                f"page.at_least_different.{name}: {least} values, and page.eligible.{name} allows {values}; lower it, "
                "or allow more"
            )
        if most * values < page.slots:
            yield (
                f"page.at_most.{name}: {most} of each of the {values} value(s) that page.eligible.{name} allows fill "
                f"no {page.slots} slots; raise it, or allow more values"
            )
        if name in page.not_side_by_side and values == 1 and page.slots > 1:
            yield (
                f"page.not_side_by_side: page.eligible.{name} allows one value of {name}, so that all slots have it; "
                "allow more, or drop the rule"
            )


def _pinned_values(page: Page) -> Counter[tuple[str, Value]]:
    return Counter((pin.feature, pin.value) for pin in page.pinned)
