"""What one run does while another does something else to the same lake, as threads that do not wait for each other."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.torture.writers import KEY, WRITERS, tensors, vacuum
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.interrupted import StateFile

Act = Callable[[int], object]


def races(folder: Path, seconds: float) -> dict[str, dict[str, int]]:
    """Run each pair of acts side by side for so long.

    Returns:
        Pair -> how often each act was done; refused: publications that told that a vacuum of everything removes what
        they had written, and published nothing; errors: all others, which must be 0. What is read in the end is whole.
    """
    root = folder / "lake"
    root.mkdir(parents=True)
    one, other = (StateFile(str(root / "checkpoints"), KEY, letter * 16, 0.0) for letter in "ab")
    arrays = tensors(1)

    def publish(name: str) -> Act:
        return lambda generation: WRITERS[name].write(root, generation)

    def read(name: str) -> Act:
        return lambda _: WRITERS[name].read(root)

    def sweep(_: int) -> None:
        vacuum(root)

    def keep_and_clear(done: int) -> None:
        other.keep({"done": done}, arrays)
        other.clear()

    pairs: dict[str, tuple[Act, Act]] = {
        "a day is published / vacuum of all": (publish("a day of a table"), sweep),
        "a day is published / read": (publish("a day of a table"), read("a day of a table")),
        "a table without days is published / read": (publish("a table without days"), read("a table without days")),
        "a checkpoint is published / vacuum of all": (publish("a checkpoint"), sweep),
        "a checkpoint is published / read": (publish("a checkpoint"), read("a checkpoint")),
        "a release / another": (publish("a release"), publish("a release")),
        "a training keeps its state / another ends": (
            lambda done: one.keep({"done": done}, arrays),
            keep_and_clear,
        ),
        "two trainings end": (lambda _: one.clear(), lambda _: other.clear()),
    }
    figures = {name: _race(name, seconds, acts) for name, acts in pairs.items()}
    for name in ("a day of a table", "a table without days", "a checkpoint", "a release"):
        WRITERS[name].read(root)
    return figures


def _race(name: str, seconds: float, acts: tuple[Act, Act]) -> dict[str, int]:
    until, errors, done, refused = time.time() + seconds, Counter[str](), [0, 0], [0, 0]

    def repeat(number: int) -> None:
        while time.time() < until:
            try:
                acts[number](done[number])
            except LakeError as error:
                if "vacuum" in str(error):
                    refused[number] += 1
                else:
                    errors[f"{type(error).__name__}: {error}"[:300]] += 1
            except Exception as error:
                errors[f"{type(error).__name__}: {error}"[:300]] += 1
            done[number] += 1

    threads = [threading.Thread(target=repeat, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for words, times in errors.items():
        print(f"{name}: {times} x {words}")
    return {"first": done[0], "second": done[1], "refused": sum(refused), "errors": errors.total()}
