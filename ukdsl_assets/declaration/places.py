"""Where a wrong key stands, by the names that its blocks go by, and what may stand there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel


@dataclass(frozen=True)
class Place:
    """A key of a declaration.

    path: from the top, for people; blocks of a list go by their `name`, or by their number where they have none.
    depth: how many steps lead there.
    models: the blocks of which one holds the key.
    """

    path: str
    depth: int
    models: tuple[type[BaseModel], ...]


def place_of(model: type[BaseModel], content: Mapping[str, Any], location: Sequence[int | str]) -> Place:
    """The place that Pydantic calls by keys, numbers in lists, and names of types and kinds that a value may be of.

    Args:
        model: what `content`, as read from YAML, was validated by.
        location: `loc` of one of Pydantic's errors.
    """
    path, depth = "", 0
    here: Any = content
    models: tuple[type[BaseModel], ...] = (model,)
    around = models
    for number, part in enumerate(location):
        if isinstance(part, int):
            if isinstance(here, list | tuple) and part < len(here):
                here, depth = here[part], depth + 1
                if isinstance(here, dict):
                    path += f".{here['name']}" if isinstance(here.get("name"), str) else f".(number {part + 1})"
            continue
        last = number == len(location) - 1
        fields = [each.model_fields[part] for each in models if part in each.model_fields]
        if fields or (isinstance(here, dict) and part in here) or (last and not _is_type(part)):
            path, depth, around = f"{path}.{part}", depth + 1, models
            models = tuple(found for field in fields for found in models_in(field.annotation))
            here = here.get(part) if isinstance(here, dict) else None
        elif kinds := tuple(each for each in models if part in kinds_of(each)):
            # The block that its `kind` chose.
            models = around = kinds
    return Place(path.removeprefix(".") or "(file)", depth, around)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The blocks that a key of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from models_in(each)


def kinds_of(model: type[BaseModel]) -> tuple[str, ...]:
    """What a block's `kind` may be; empty for a block that has none."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _is_type(part: str) -> bool:
    """Whether Pydantic put the part there to name a type that the value may have, such as `tuple[str, ...]`."""
    return part in ("int", "float", "str", "bool") or "[" in part
