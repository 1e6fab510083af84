"""An ordered map over the shards of a step, and how it runs in this process.

The function that is mapped publishes nothing: it writes files under new names and returns what it wrote, and the step's
own process makes the one commit. So a shard may be worked on twice (a lost worker's is, and a worker that was only
thought lost may go on), and nobody sees it.
"""

import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ukdsl_assets.errors import EngineError, UkdslError

A = TypeVar("A")
R = TypeVar("R")
# A lost worker's shard is tried again this often.
RETRIES = 3
# Results wait for those before them; so many shards a worker are in flight that none waits for work.
AHEAD = 2


class Engine(Protocol):
    """Works on shards, wherever that is."""

    @property
    def remote(self) -> bool:
        """Whether workers may be on other machines, which see no file of this one."""

    @property
    def apart(self) -> bool:
        """Whether shards are worked on in other processes, so that `work` and its results are pickled."""

    def map(self, work: Callable[[A], R], shards: Sequence[A], name: str) -> Iterator[R]:
        """Results in the order of the shards, each as soon as those before it are there; of no shards there are none.

        Args:
            work: of a module, or a `partial` of one; picklable, as are its results; does not depend on what it did
                before.
            shards: what it is given, small: names of files or scans, not rows.
            name: of the step, for messages.

        Raises:
            UkdslError: a shard's own, of its own kind, which names the step and the shard; it is not tried again.
            EngineError: another error in a shard, or workers that were lost RETRIES times and once more.
                Whatever is raised, and where the caller stops early, shards in flight are given up.
        """

    def close(self) -> None:
        """End the workers that were started here; the next `map` starts others."""


@dataclass(frozen=True)
class Done:
    """A shard's result."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """A shard's error as far as it travels: exceptions of libraries often cannot be pickled.

    Attributes:
        error: None where it cannot.
        text: of its traceback.
        where: node and process.
    """

    error: BaseException | None
    text: str
    where: str


def attempt(work: Callable[[Any], Any], shard: Any) -> Done | Failed:
    """What a worker does with a shard: errors come back as answers, so that engines tell them from lost workers."""
    try:
        return Done(work(shard))
    except Exception as error:
        try:
            kept: BaseException | None = error if str(pickle.loads(pickle.dumps(error))) == str(error) else None
        except Exception:
            kept = None
        return Failed(kept, traceback.format_exc(), f"{os.uname().nodename}, process {os.getpid()}")


def value_of(answer: Done | Failed, name: str, place: int, count: int) -> Any:
    """The result of shard `place` of `count`; errors as in `Engine.map`."""
    if isinstance(answer, Done):
        return answer.value
    where = f"{name}, shard {place} of {count} (on {answer.where})"
    if isinstance(answer.error, UkdslError):
        answer.error.args = (f"{where}: {answer.error}",)
        raise answer.error
    raise EngineError(f"{where} failed; what was published stays. The worker says:\n{answer.text}") from answer.error


def lost(name: str, place: int, count: int, why: str) -> EngineError:
    """The error for a shard whose workers were lost once more than is tried."""
    return EngineError(
        f"{name}, shard {place} of {count}: workers were lost {RETRIES + 1} times ({why}), probably for want of "
        "memory; what was published stays. Use more shards (UKDSL_SHARDS), so that each is smaller, or fewer workers "
        "(UKDSL_ENGINE)."
    )


@dataclass(frozen=True)
class LocalEngine:
    """One shard after the other in this process; errors are those of the work itself."""

    remote: bool = False
    apart: bool = False

    def map(self, work: Callable[[A], R], shards: Sequence[A], name: str) -> Iterator[R]:
        """As `Engine.map`; nothing is pickled."""
        for shard in shards:
            yield work(shard)

    def close(self) -> None:
        """Nothing was started."""
