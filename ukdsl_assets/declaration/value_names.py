"""Names for the values of a feature of ids: `names: {0: Germany, 1: France}`, which people read in place of numbers."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from ukdsl_assets.declaration.block import MOST_ID

MOST_LENGTH = 60


def _pairs(content: Any) -> Any:
    """(value as text, name) in the order of the file; what is no mapping of values to names is an error."""
    if not isinstance(content, Mapping):
        # What was read once already.
        if isinstance(content, tuple):
            return content
        raise ValueError("expected a mapping of values to names such as {0: Germany}")
    for value, name in content.items():
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"value {value!r} is neither a whole number nor a text; put a text such as no in quotes")
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"the name of {value!r} is {name!r}; expected a text, in quotes where it is a number")
        if len(name) > MOST_LENGTH:
            raise ValueError(f"the name of {value!r} has {len(name)} characters; expected at most {MOST_LENGTH}")
    texts = [str(value) for value in content]
    if twice := [value for value, count in Counter(texts).items() if count > 1]:
        raise ValueError(f"{twice[0]} has two names; leave one")
    if twice := [name for name, count in Counter(content.values()).items() if count > 1]:
        first, second, *_ = (value for value, name in content.items() if name == twice[0])
        raise ValueError(f"{first!r} and {second!r} are both called {twice[0]!r}; give each a name of its own")
    return tuple(zip(texts, content.values(), strict=True))


ValueNames = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_pairs),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": "string", "minLength": 1, "maxLength": MOST_LENGTH}}
    ),
    Field(min_length=1),
]


def no_value_of(values: str, names: tuple[tuple[str, str], ...]) -> str | None:
    """The first of the named values that is none of the type, as written in the file; None if all are."""
    if values == "string":
        return None
    return next((value for value, _ in names if not _is_id(value)), None)


def _is_id(text: str) -> bool:
    try:
        number = int(text)
    except ValueError:
        return False
    # 007 and +7 are other texts than the log's 7.
    return str(number) == text and -MOST_ID - 1 <= number <= MOST_ID
