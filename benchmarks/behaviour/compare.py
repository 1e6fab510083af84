"""Compares two files of `record`: what is in one only, or differs; exit code 1 if anything does.

python -m benchmarks.behaviour.compare BEFORE AFTER [--expected PATTERN ...]
"""

import argparse
import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


def main() -> None:
    """Print each difference that no pattern expects, and how many there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--expected", nargs="*", default=[], help="Patterns (* and ?) of differences that are known.")
    chosen = parser.parse_args()
    before, after = (flat(json.loads(path.read_text())) for path in (chosen.before, chosen.after))
    known: list[str] = []
    unknown: list[str] = []
    for line in differences(before, after):
        (known if any(fnmatch(line, pattern) for pattern in chosen.expected) else unknown).append(line)
    print("\n".join(unknown))
    print(f"{len(before)} facts before, {len(after)} after: {len(unknown)} differ, {len(known)} more as expected")
    sys.exit(1 if unknown else 0)


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Every leaf of nested mappings by its path."""
    if not isinstance(value, dict):
        return {path: json.dumps(value)}
    return {
        key: leaf for name, inner in value.items() for key, leaf in flat(inner, f"{path} > {name}".lstrip(" >")).items()
    }


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for each fact that is not the same in both."""
    return [
        f"{fact}: {before.get(fact, 'absent')} -> {after.get(fact, 'absent')}"
        for fact in sorted(before.keys() | after.keys())
        if before.get(fact) != after.get(fact)
    ]


if __name__ == "__main__":
    main()
