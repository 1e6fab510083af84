"""Work that workers in other processes import by name."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from ukdsl_assets.errors import LakeError


def square(number: int) -> int:
    time.sleep(0.02 * (number % 3))  # later shards may be done sooner
    return number * number


def threads(name: str) -> str | None:
    return os.environ.get(name)


def refused(number: int) -> int:
    if number == 2:
        raise LakeError("table/x has no day 2026-01-01. Make it first.")
    return number


class CannotTravelError(Exception):
    """Of a library, whose constructor takes what its arguments do not say."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def broken(number: int) -> int:
    raise CannotTravelError("this", "that")


def killed_once(folder: Path, number: int) -> int:
    mark = folder / str(number)
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def always_killed(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def long(folder: Path, number: int) -> int:
    (folder / f"{os.getpid()}").touch()
    if number:
        time.sleep(60)
    return number


def with_much(much: bytes, folder: Path, number: int) -> int:
    return long(folder, number)


@dataclass
class Heavy:
    """Work that holds much, and leaves a mark in the folder wherever it is unpickled."""

    folder: Path
    much: bytes = field(default=b"x" * 3 * 2**20, repr=False)

    def __call__(self, number: int) -> int:
        time.sleep(0.05)
        return number + len(self.much)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        (self.folder / uuid4().hex).touch()
