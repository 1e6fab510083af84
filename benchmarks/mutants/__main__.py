"""`python -m benchmarks.mutants`: changes one thing at a time and runs the tests that mirror the file.

Prints each change that every test passed on, with the reason in `survivors.yaml` where there is one, and the share that
was caught. Ends with 1 below 90%, or where a file's tests fail without any change.
"""

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmarks.mutants.changes import Change, chosen
from benchmarks.mutants.running import LIBRARIES, ONE_THREAD, tests_pass
from benchmarks.mutants.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("ukdsl_assets", "dbt_like_sql", "tests", "docs", "examples", "pyproject.toml", "README.md", "CHANGELOG.md")
LEAST_CAUGHT = 0.9
# As many times as long as without a change may tests take: a change can make a loop endless.
PATIENCE, LEAST_SECONDS = 5, 30


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=150, help="how many changes (default 150)")
    parser.add_argument("--seed", type=int, default=0, help="draws them (default 0)")
    parser.add_argument("--only", default="", help="part of the names of the files to change")
    parser.add_argument("--processes", type=int, default=2, help="side by side (default 2)")
    asked = parser.parse_args()
    os.environ.update(ONE_THREAD, CHECKOUT=str(ROOT))
    began = time.monotonic()
    changes = chosen(ROOT, asked.count, asked.seed, asked.only)
    known = yaml.safe_load((ROOT / "benchmarks/mutants/survivors.yaml").read_text(encoding="utf-8")) or {}
    for library in LIBRARIES:
        importlib.import_module(library)
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        queue: multiprocessing.Queue = fork.Queue()
        # Changes of a file stay together, for its tests run once without any.
        parts = _parts(changes, asked.processes)
        workers = [
            fork.Process(target=_work, args=(part, Path(folder) / str(at), queue)) for at, part in enumerate(parts)
        ]
        for worker in workers:
            worker.start()
        ended = []
        for number in range(1, len(changes) + 1):
            ended.append(queue.get())
            if number % 10 == 0:
                print(f"{number} of {len(changes)} tried", flush=True)
        for worker in workers:
            worker.join()
    survived = sorted((change for change, caught in ended if caught is False), key=lambda each: each.name)
    failing = sorted({change.file for change, caught in ended if caught is None})
    for change in survived:
        print(f"survived  {change.file}:{change.line}\n  {change.before}\n  {change.after}")
        print(f"  {known.get(change.name, 'no reason is known: a test is missing')}")
    for file in failing:
        print(f"not tried {file}: its tests fail without a change, or are none: {' '.join(TARGETS[file])}")
    tried = sum(caught is not None for _, caught in ended)
    caught = tried - len(survived)
    share = caught / tried if tried else 0.0
    print(
        f"{caught} of {tried} changes caught, {share:.1%}; {len(survived)} survived, of which "
        f"{sum(change.name in known for change in survived)} with a reason; {(time.monotonic() - began) / 60:.0f} min"
    )
    return 0 if share >= LEAST_CAUGHT and not failing else 1


def _parts(changes: Sequence[Change], count: int) -> list[list[Change]]:
    """The changes in so many parts of about equal size, those of a file together."""
    parts: list[list[Change]] = [[] for _ in range(count)]
    files = {change.file: [each for each in changes if each.file == change.file] for change in changes}
    for of_file in sorted(files.values(), key=len, reverse=True):
        min(parts, key=len).extend(of_file)
    return parts


def _work(changes: Sequence[Change], root: Path, queue: "multiprocessing.Queue[tuple[Change, bool | None]]") -> None:
    """Puts each change and whether a test caught it into the queue; None where its tests do not pass as they are."""
    root.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    sys.dont_write_bytecode = True
    seconds: dict[str, float | None] = {}
    for change in changes:
        tests, output = TARGETS[change.file], root / "pytest.txt"
        if change.file not in seconds:
            started = time.monotonic()
            passed = tests_pass(root, tests, 600, output)
            seconds[change.file] = time.monotonic() - started if passed else None
            if not passed:
                print(output.read_text(errors="replace")[-1500:])
        usual = seconds[change.file]
        if usual is None:
            queue.put((change, None))
            continue
        path = root / change.file
        original = path.read_text(encoding="utf-8")
        path.write_text(change.text, encoding="utf-8")
        caught = tests_pass(root, tests, max(LEAST_SECONDS, PATIENCE * usual), output) is not True
        path.write_text(original, encoding="utf-8")
        queue.put((change, caught))


if __name__ == "__main__":
    sys.exit(main())
