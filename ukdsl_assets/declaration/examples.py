"""Which of the shipped cascades are shown beside a user's own; a command that names one finds it whatever is chosen."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import OF_NO_CASCADE
from ukdsl_assets.declaration.read import SHIPPED
from ukdsl_assets.errors import DeclarationError, did_you_mean

# The one that a fresh clone can run and that shows every kind of student's day.
DEFAULT = "simulated_ads"


def examples_chosen(choice: str, own_folder: Path | None) -> set[str]:
    """Names of the shipped cascades, and of `theory` and `evidence`, that UKDSL_EXAMPLES chooses.

    Args:
        choice: `auto` (simulated_ads where there is no folder of own cascades, else none), `all`, `none`, or names with
            commas between them.

    Raises:
        DeclarationError: a name is none of a shipped cascade; lists them.
    """
    # A shipped file is called like its cascade; one that extends another is one too.
    everything = {path.stem for path in SHIPPED.glob("*.yaml")} | OF_NO_CASCADE
    words = [word.strip() for word in choice.split(",") if word.strip()]
    match words:
        case [] | ["none"]:
            return set()
        case ["all"]:
            return everything
        case ["auto"]:
            return {DEFAULT} if own_folder is None else set()
    for name in words:
        if name not in everything:
            raise DeclarationError(
                f"UKDSL_EXAMPLES: no shipped cascade `{name}`{did_you_mean(name, everything)}; expected auto, all, "
                f"none, or some of {', '.join(sorted(everything))} with commas between them"
            )
    return set(words)


def is_shipped(cascade: Cascade) -> bool:
    """Whether it was read from our own folder of declarations."""
    return Path(cascade.origin).parent == SHIPPED if cascade.origin else False


def with_their_teachers(cascades: Mapping[str, Cascade], names: Iterable[str]) -> dict[str, Cascade]:
    """The cascades of these names and those that teach them, and so on, in the order of `cascades`."""
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in wanted or name not in cascades:
            continue
        wanted.add(name)
        waiting += [teacher.cascade for teacher in cascades[name].teachers if teacher.foreign]
    return {name: cascade for name, cascade in cascades.items() if name in wanted}
