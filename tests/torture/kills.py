"""Kills of everything that writes: after each, what readers see is one whole generation, and a next writer goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.torture.writers import WRITERS, vacuum
from ukdsl_assets.settings import PROJECT

# Generations between two writers, more than one writes before it is killed.
APART = 100_000


def kill_writers(folder: Path, kills: int, names: list[str] | None = None) -> dict[str, dict[str, int]]:
    """Kill a writer of each kind so many times.

    Returns:
        Kind -> kills; torn: how often a reader saw no whole generation; lost: how often it saw an older one than
        before; not_healed: 1 if a writer that nobody kills then does not show its own; left_over: files of writers
        that were killed and that a vacuum leaves. All but the first must be 0.
    """
    return {name: _kill(name, folder / name.replace(" ", "_"), kills) for name in names or WRITERS}


def _kill(name: str, root: Path, kills: int) -> dict[str, int]:
    root.mkdir(parents=True)
    writer, chance = WRITERS[name], random.Random(name)
    figures = {"kills": 0, "torn": 0, "lost": 0, "not_healed": 0, "left_over": 0}
    seen = -1
    for kill in range(kills):
        command = [sys.executable, "-m", "tests.torture.writers", name, str(root), str(kill * APART)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        time.sleep(chance.uniform(0, writer.longest))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        figures["kills"] += 1
        try:
            found = writer.read(root)
        except Exception as error:
            print(f"{name}, kill {kill}: {type(error).__name__}: {error}")
            figures["torn"] += 1
            continue
        # Releases of older days do not move the pointer.
        figures["lost"] += name != "a release" and (found is None or found < seen)
        seen = found if found is not None else seen
    last = kills * APART
    writer.write(root, last)
    figures["not_healed"] = int(name != "a release" and writer.read(root) != last)
    _age(root)
    vacuum(root)
    figures["left_over"] = sum(_is_unfinished(path) for path in root.rglob("*"))
    writer.read(root)
    return figures


def _age(root: Path) -> None:
    """Make all files two days old, since a vacuum spares what a writer may be at."""
    before = time.time() - 2 * 86_400
    for path in root.rglob("*"):
        os.utime(path, (before, before))


def _is_unfinished(path: Path) -> bool:
    """A file that a writer had not finished, by the names that all of them give such files."""
    return path.is_file() and (path.name.startswith(".") or "unfinished" in path.name) and path.suffix != ".crc"
