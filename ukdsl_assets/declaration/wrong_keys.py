"""What a wrong declaration is told: each wrong key by the names that its blocks go by, what was seen and expected.

Pydantic knows what is wrong and where, by place and in its own words; both are put into the user's here.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ukdsl_assets.declaration.block import NAME
from ukdsl_assets.errors import did_you_mean

# Long values are cut.
_SHOWN = 60


class WrongDeclarationError(ValueError):
    """A declaration whose keys are sound one by one and do not go together; `problems` are `key: seen, expected`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class _Place:
    """A key that is wrong: its path for people, how many steps lead there, and the models that may stand around it."""

    path: str
    depth: int
    models: tuple[type[BaseModel], ...]


def wrong_keys(model: type[BaseModel], content: Mapping[str, Any], error: ValidationError) -> list[tuple[str, str]]:
    """Each wrong key of a declaration as (top-level key, line for people), in Pydantic's order.

    A block of a list is named by its `name`; a key or value that nearly is a known one by that. Of a value that may be
    of several types, what each type expects stands in one line.

    Args:
        model: what `content`, as read from YAML, was validated by; error: what that raised.
    """
    by_path: dict[str, list[_Problem]] = {}
    tops = {}
    for item in error.errors():
        reason = item.get("ctx", {}).get("error")
        if isinstance(reason, WrongDeclarationError):
            for problem in reason.problems:
                tops[problem], by_path[problem] = re.split(r"[.:]", problem, maxsplit=1)[0], []
            continue
        place = _place(model, content, item["loc"])
        if item["type"] == "union_tag_invalid":
            place = _Place(f"{place.path}.kind", place.depth, place.models)
        tops[place.path] = str(item["loc"][0]) if item["loc"] else ""
        by_path.setdefault(place.path, []).append(_Problem(place.depth, *_expected(item, place), _value_text(item)))
    return [(tops[path], f"{path}: {_message(problems)}" if problems else path) for path, problems in by_path.items()]


@dataclass(frozen=True)
class _Problem:
    """What is wrong with one value, how deep it lies, a hint at the nearest known one, and the value as text."""

    depth: int
    text: str
    hint: str
    value: str


def _message(problems: list[_Problem]) -> str:
    # A value that is a list is wrong inside it, not for being no word, too.
    deepest = [each for each in problems if each.depth == max(other.depth for other in problems)]
    parts = []
    for value in dict.fromkeys(each.value for each in deepest):
        of_value = [each for each in deepest if each.value == value]
        texts = list(dict.fromkeys(each.text for each in of_value))
        also = [text.removeprefix("expected ") for text in texts[1:]]
        parts.append(", or ".join([*texts[:1], *also]) + value + "".join(dict.fromkeys(each.hint for each in of_value)))
    return "; ".join(parts)


def _place(model: type[BaseModel], content: Any, location: Sequence[int | str]) -> _Place:
    path, depth, here = "", 0, content
    models: tuple[type[BaseModel], ...] = (model,)
    around = models
    for number, part in enumerate(location):
        last = number == len(location) - 1
        if isinstance(part, int):
            if isinstance(here, list | tuple) and part < len(here):
                here, depth = here[part], depth + 1
                if isinstance(here, dict):
                    path += f".{here['name']}" if isinstance(here.get("name"), str) else f".(number {part + 1})"
            continue
        fields = [each.model_fields[part] for each in models if part in each.model_fields]
        if fields or (isinstance(here, dict) and part in here) or (last and not _is_branch(part)):
            path, depth, around = f"{path}.{part}", depth + 1, models
            models = tuple(inner for field in fields for inner in _models_in(field.annotation))
            here = here.get(part) if isinstance(here, dict) else None
        elif kinds := tuple(each for each in models if part in _kinds_of(each)):
            # The branch that a block's `kind` chose.
            models = around = kinds
    return _Place(path.removeprefix(".") or "(file)", depth, around)


def _is_branch(part: str) -> bool:
    """Whether Pydantic put the part there to name a type that the value may have."""
    return part in ("int", "float", "str", "bool", "[key]") or "[" in part


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models_in(each)


def _kinds_of(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _expected(item: Any, place: _Place) -> tuple[str, str]:
    """What was expected, and a hint at the nearest known key or value."""
    kind, context, value = item["type"], item.get("ctx", {}), item["input"]
    if kind == "extra_forbidden":
        return _unknown_key(str(item["loc"][-1]), place)
    if kind == "missing":
        return "has too few values" if isinstance(item["loc"][-1], int) else "is required and missing", ""
    if kind == "union_tag_not_found":
        kinds = dict.fromkeys(name for model in place.models for inner in _inner(model, item) for name in inner)
        return f"has no `kind`, expected one of {', '.join(kinds)}", ""
    if kind in ("union_tag_invalid", "literal_error"):
        tags = kind == "union_tag_invalid"
        known = re.findall(r"'([^']*)'", context["expected_tags" if tags else "expected"])
        word = context["tag"] if tags else value
        return f"expected {_one_of(known)}", did_you_mean(str(word), known)
    if kind == "string_pattern_mismatch" and context["pattern"] == NAME:
        return "expected a name of small letters, digits and _ that starts with a letter", ""
    if kind == "string_pattern_mismatch":
        return f"expected a text of the form {context['pattern']}", ""
    if kind == "value_error":
        return str(context["error"]), ""
    for types, text in _WORDS.items():
        if kind in types:
            return text(context), ""
    return item["msg"][:1].lower() + item["msg"][1:], ""


def _unknown_key(key: str, place: _Place) -> tuple[str, str]:
    known = [name for model in place.models for name in model.model_fields if name != "origin"]
    if hint := did_you_mean(key, known):
        return "unknown key", hint
    for model in place.models:
        for name, field in model.model_fields.items():
            if any(key in inner.model_fields for inner in _models_in(field.annotation)):
                return f"unknown key here; it belongs below `{name}`", ""
    kinds = [str(name) for model in place.models for name in _kinds_of(model)]
    of_kind = f" of kind {kinds[0]}" if len(kinds) == 1 else ""
    return f"unknown key{of_kind}, expected some of {', '.join(dict.fromkeys(known))}", ""


def _inner(model: type[BaseModel], item: Any) -> Iterator[tuple[Any, ...]]:
    names = [part for part in item["loc"] if isinstance(part, str)]
    field = model.model_fields.get(names[-1]) if names else None
    yield from (_kinds_of(each) for each in _models_in(field.annotation if field else None))


def _one_of(known: Sequence[str]) -> str:
    return f"one of {', '.join(known)}" if len(known) > 1 else known[0]


def _value_text(item: Any) -> str:
    if item["type"] == "union_tag_invalid":
        return f" (saw {item['ctx']['tag']!r})"
    inner = item["type"] == "value_error" and isinstance(item["input"], dict | list | BaseModel)
    if inner or item["type"] in ("missing", "union_tag_not_found", "extra_forbidden"):
        return ""
    shown = repr(item["input"])
    return f" (saw {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + ' ...'})"


def _plain(bound: Any) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


_Words = Callable[[Mapping[str, Any]], str]
_WORDS: dict[tuple[str, ...], _Words] = {
    ("int_type", "int_parsing", "int_from_float"): lambda _: "expected a whole number",
    ("float_type", "float_parsing", "finite_number"): lambda _: "expected a number",
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
