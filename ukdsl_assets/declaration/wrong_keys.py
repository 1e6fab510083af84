"""What is said of a wrong declaration: each wrong key by name, with what was expected and seen.

Pydantic knows what is wrong and where, by place and in its own words; both are put into the user's here.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ukdsl_assets.declaration.block import NAME, OWNER
from ukdsl_assets.declaration.places import Place, kinds_of, models_in, place_of
from ukdsl_assets.errors import did_you_mean

# Long values are cut.
_SHOWN = 60


class WrongDeclarationError(ValueError):
    """A declaration whose keys are sound one by one and do not go together; `problems` are `key: seen, expected`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def wrong_keys(model: type[BaseModel], content: Mapping[str, Any], error: ValidationError) -> list[tuple[str, str]]:
    """Each wrong key of a declaration as (top-level key, line for people), in Pydantic's order.

    A block of a list is named by its `name`; a key or value that nearly is a known one by that. Of a value that may be
    of several types, what each type expects stands in one line.

    Args:
        model: what `content`, as read from YAML, was validated by; error: what that raised.
    """
    lines: dict[str, str] = {}
    by_path: dict[str, list[_Problem]] = {}
    errors = error.errors()
    for item in errors:
        if item["type"] == "too_short" and any(_is_below(other, item) for other in errors):
            continue  # What is wrong there was counted out.
        reason = item.get("ctx", {}).get("error")
        if isinstance(reason, WrongDeclarationError):
            lines |= {problem: re.split(r"[.:]", problem, maxsplit=1)[0] for problem in reason.problems}
            continue
        problem = _problem(model, content, item)
        by_path.setdefault(problem.place.path, []).append(problem)
    lines |= {f"{path}: {_message(problems)}": problems[-1].top for path, problems in by_path.items()}
    return [(top, line) for line, top in lines.items()]


def _is_below(item: ErrorDetails, other: ErrorDetails) -> bool:
    """Whether an error is inside of what another one is about."""
    depth = len(other["loc"])
    return len(item["loc"]) > depth and item["loc"][:depth] == other["loc"]


@dataclass(frozen=True)
class _Problem:
    """What is wrong with a value; one that may be of several types has one for each.

    top: the top-level key that it stands below; hint: at the nearest known key or value.
    """

    place: Place
    top: str
    expected: str
    hint: str
    seen: str


def _problem(model: type[BaseModel], content: Mapping[str, Any], item: ErrorDetails) -> _Problem:
    place = place_of(model, content, item["loc"])
    if item["type"] == "union_tag_invalid":
        place = Place(f"{place.path}.kind", place.depth, place.models)
    top = str(item["loc"][0]) if item["loc"] else ""
    return _Problem(place, top, *_expected(item, place), _seen(item))


def _message(problems: list[_Problem]) -> str:
    """What all types expect of one value, in one line."""
    # A value that is a list is wrong inside it, not for being no word, too.
    depth = max(each.place.depth for each in problems)
    deepest = [each for each in problems if each.place.depth == depth]
    parts = []
    for seen in dict.fromkeys(each.seen for each in deepest):
        of_value = [each for each in deepest if each.seen == seen]
        first, *others = dict.fromkeys(each.expected for each in of_value)
        hints = dict.fromkeys(each.hint for each in of_value)
        parts.append(
            ", or ".join([first, *(each.removeprefix("expected ") for each in others)]) + seen + "".join(hints)
        )
    return "; ".join(parts)


def _expected(item: ErrorDetails, place: Place) -> tuple[str, str]:
    """What was expected, and a hint at the nearest known key or value."""
    kind, context, value = item["type"], item.get("ctx", {}), item["input"]
    if kind == "extra_forbidden":
        return _unknown_key(str(item["loc"][-1]), place)
    if kind == "missing":
        return "has too few values" if isinstance(item["loc"][-1], int) else "is required and missing", ""
    if kind == "union_tag_not_found":
        return f"has no `kind`, expected one of {', '.join(dict.fromkeys(_kinds_below(item, place)))}", ""
    if kind in ("union_tag_invalid", "literal_error"):
        tags = kind == "union_tag_invalid"
        known = re.findall(r"'([^']*)'", context["expected_tags" if tags else "expected"])
        word = context["tag"] if tags else value
        return f"expected {_one_of(known)}", did_you_mean(str(word), known)
    if kind == "string_pattern_mismatch" and context["pattern"] == NAME:
        return "expected a name of small letters, digits and _ that starts with a letter", ""
    if kind == "string_pattern_mismatch" and context["pattern"] == OWNER:
        return "expected team:NAME or an address such as ranking@example.com", ""
    if kind == "string_pattern_mismatch":
        return f"expected a text of the form {context['pattern']}", ""
    if kind == "value_error":
        return str(context["error"]), ""
    for types, words in _WORDS.items():
        if kind in types:
            return words(context), ""
    return item["msg"][:1].lower() + item["msg"][1:], ""


def _unknown_key(key: str, place: Place) -> tuple[str, str]:
    """Which keys are known there, the nearest of them, or the block below to which the key belongs."""
    fields = {name: field for model in place.models for name, field in model.model_fields.items() if not field.exclude}
    if hint := did_you_mean(key, fields):
        return "unknown key", hint
    for model in place.models:
        for name, field in model.model_fields.items():
            if any(key in inner.model_fields for inner in models_in(field.annotation)):
                return f"unknown key here; it belongs below `{name}`", ""
    kinds = [name for model in place.models for name in kinds_of(model)]
    of_kind = f" of kind {kinds[0]}" if len(kinds) == 1 else ""
    return f"unknown key{of_kind}, expected some of {', '.join(fields)}", ""


def _kinds_below(item: ErrorDetails, place: Place) -> Iterator[str]:
    """The kinds of the blocks that the key may hold."""
    names = [part for part in item["loc"] if isinstance(part, str)]
    for model in place.models:
        field = model.model_fields.get(names[-1]) if names else None
        for inner in models_in(field.annotation if field else None):
            yield from kinds_of(inner)


def _one_of(known: Sequence[str]) -> str:
    return f"one of {', '.join(known)}" if len(known) > 1 else known[0]


def _seen(item: ErrorDetails) -> str:
    """The wrong value in brackets; nothing where it is absent or a whole block."""
    if item["type"] == "union_tag_invalid":
        return f" (saw {item['ctx']['tag']!r})"
    whole = item["type"] == "value_error" and isinstance(item["input"], dict | list | BaseModel)
    if whole or item["type"] in ("missing", "union_tag_not_found", "extra_forbidden"):
        return ""
    shown = repr(item["input"])
    return f" (saw {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + ' ...'})"


def _plain(bound: Any) -> str:
    if isinstance(bound, timedelta):
        return f"P{bound.days}D"
    if isinstance(bound, str) and (days := re.fullmatch(r"datetime\.timedelta\((?:days=)?(\d+)\)", bound)):
        return f"P{days[1]}D"  # where a validator of ours runs before the bound, Pydantic tells it as Python's text
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


_Words = Callable[[Mapping[str, Any]], str]
_WORDS: dict[tuple[str, ...], _Words] = {
    ("int_type", "int_parsing", "int_from_float"): lambda _: "expected a whole number",
    ("float_type", "float_parsing"): lambda _: "expected a number",
    ("finite_number",): lambda _: "expected a finite number",
    ("bool_type", "bool_parsing"): lambda _: "expected true or false",
    ("string_type",): lambda _: "expected a text",
    ("tuple_type",): lambda _: "expected a list, such as [one, other]",
    ("dict_type", "model_type", "model_attributes_type"): lambda _: "expected a mapping of keys to values",
    ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"): lambda _: (
        "expected a day such as 2026-01-31"
    ),
    ("time_delta_type", "time_delta_parsing"): lambda _: "expected a duration such as PT30M, P1D or P7D",
    ("greater_than",): lambda bound: f"expected more than {_plain(bound['gt'])}",
    ("greater_than_equal",): lambda bound: f"expected at least {_plain(bound['ge'])}",
    ("less_than",): lambda bound: f"expected less than {_plain(bound['lt'])}",
    ("less_than_equal",): lambda bound: f"expected at most {_plain(bound['le'])}",
    ("too_short",): lambda bound: f"expected {bound['min_length']} or more of them",
    ("too_long",): lambda bound: f"expected at most {bound['max_length']} of them",
    ("string_too_long",): lambda bound: f"expected at most {bound['max_length']} characters",
}
