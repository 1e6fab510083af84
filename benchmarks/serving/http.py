"""What a request of the server waits for: pages of twelve modules at a fixed rate, on one core for the server.

    python -m benchmarks.serving.http [--per-second 500] [--seconds 20] [--swap] [--peer NAME=PYTHON]

Two students of the simulated item page are trained a little, exported and served by `ukdsl serve`, held to one core;
the load comes from another, open-loop: each request is due at a moment of its own and its latency counts from there, so
that a queue is seen. Figures are milliseconds of wall time, which mean what they say on an idle machine alone, and CPU
milliseconds a request.

--swap: meanwhile the release moves to and fro between two days every second; every reply is held to the version that
it names. --peer: litserve, bentoml or ray, and the Python of an environment that has it and onnxruntime (`peers.py`).
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving.frameworks import listens
from benchmarks.serving.load import Answer, Target, cpu_seconds, latencies, open_loop
from tests.fixtures.browser import free_port
from tests.fixtures.released import store_of
from tests.fixtures.served_pages import FIRST, NAME, SECOND, checkpoint_of, export_of, make_lake, page_bodies, rows_of

PAGES, WARM_UP_SECONDS = 200, 2.0
CLICK = (NAME, "module_click")


def main() -> None:
    """Serve, load, and print a line each route."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-second", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--swap", action="store_true")
    parser.add_argument("--peer", metavar="NAME=PYTHON", action="append", default=[])
    chosen = parser.parse_args()
    pages = [{name: part for name, part in body.items() if name != "request_id"} for body in page_bodies(PAGES)]
    rows = [{"rows": rows_of(page)} for page in pages]
    bodies = {
        f"/rank/{NAME}": [json.dumps(page).encode() for page in pages],
        f"/score/{NAME}/module_click": [json.dumps(each).encode() for each in rows],
    }
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        make_lake(lake)
        if chosen.swap:
            swap(lake, bodies[f"/score/{NAME}/module_click"], rows, chosen.per_second, chosen.seconds)
            return
        print(
            f"{chosen.per_second:g} requests a second of 12 modules for {chosen.seconds:g} s, one core for the server"
        )
        print(f"{'':42}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}{'errors':>8}{'CPU ms':>8}")
        with served(lake) as (pid, port):
            for path, sent in bodies.items():
                told(f"ukdsl serve {path.partition('/' + NAME)[0]}", pid, Target("127.0.0.1", port, path), sent, chosen)
        file = export_of(lake, checkpoint_of(lake, "module_click", FIRST))
        for peer, _, python in (each.partition("=") for each in chosen.peer):
            with started_peer(python, peer, file) as (pid, port):
                if pid:
                    path = "/predict"
                    told(peer, pid, Target("127.0.0.1", port, path), bodies[f"/score/{NAME}/module_click"], chosen)


def told(name: str, pid: int, target: Target, bodies: Sequence[bytes], chosen: argparse.Namespace) -> None:
    """Loads a server and prints what came of it; a group of processes counts together."""
    asyncio.run(open_loop(target, bodies, min(100.0, chosen.per_second), WARM_UP_SECONDS))
    before = family_seconds(pid)
    answers = asyncio.run(open_loop(target, bodies, chosen.per_second, chosen.seconds))
    cpu = (family_seconds(pid) - before) * 1e3 / len(answers)
    seen = latencies(answers)
    print(f"{name:42}{seen.p50:8.2f}{seen.p99:8.2f}{seen.most:8.2f}{seen.errors:8,}{cpu:8.3f}", flush=True)


def family_seconds(pid: int) -> float:
    """CPU seconds of a process and of all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_seconds(pid) + sum(family_seconds(int(child)) for child in children)


def on_one_core() -> list[str]:
    """What holds a command to the last core, where the load leaves it alone."""
    last = (os.cpu_count() or 1) - 1
    os.sched_setaffinity(0, set(range(max(last, 1))))
    return ["taskset", "-c", str(last)]


@contextmanager
def served(lake: Path, *options: str) -> Iterator[tuple[int, int]]:
    """`ukdsl serve` on one core: its process and port, once it is ready."""
    port = free_port()
    command = [*on_one_core(), sys.executable, "-m", "ukdsl_assets", "serve", NAME, "--port", str(port), *options]
    variables = os.environ | {"UKDSL_LAKE": str(lake)}
    child = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        listens(port, 60)
        # Models are loaded in tenths of a second from here.
        time.sleep(3)
        yield child.pid, port
    finally:
        child.terminate()
        child.wait()


@contextmanager
def started_peer(python: str, peer: str, file: Path) -> Iterator[tuple[int, int]]:
    """Another server with the same file: its process and port; process 0 where it does not start."""
    port = free_port()
    peers = Path(__file__).with_name("peers.py")
    command = [*on_one_core(), python, str(peers), peer, str(file), str(port)]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            listens(port, 90)
            time.sleep(5)
            yield child.pid, port
        except OSError:
            said.seek(0)
            print(f"{peer}: did not start: {said.read().decode(errors='replace').strip().splitlines()[-1:]}")
            yield 0, port
        finally:
            os.killpg(child.pid, 15)
            child.wait()


def swap(lake: Path, bodies: list[bytes], rows: list[dict[str, Any]], per_second: float, seconds: float) -> None:
    """Releases and withdraws the second day while requests come in, and holds every reply to its version."""
    from ukdsl_assets.serving.onnx_file import OnnxStudent

    expected: dict[str, list[np.ndarray]] = {}
    for day in (FIRST, SECOND):
        checkpoint = checkpoint_of(lake, "module_click", day)
        student = OnnxStudent.load(export_of(lake, checkpoint))
        scores = [student.score(student.columns_of(each["rows"])) for each in rows]
        expected[checkpoint.version] = [each.heads["consideration"] for each in scores]
    entry = {
        "day": str(SECOND),
        "arm": "distilled",
        "checkpoint": checkpoint_of(lake, "module_click", SECOND).version,
    }
    done = threading.Event()

    def move() -> None:
        store, moves = store_of(lake), 0
        while not done.wait(1.0):
            (store.withdraw if moves % 2 else store.release)(CLICK, entry)
            moves += 1

    with served(lake, "--reload-seconds", "0.2") as (_, port):
        mover = threading.Thread(target=move)
        mover.start()
        target = Target("127.0.0.1", port, f"/score/{NAME}/module_click")
        answers = asyncio.run(open_loop(target, bodies, per_second, seconds))
        done.set()
        mover.join()
    report(answers, expected)


def report(answers: list[Answer], expected: dict[str, list[np.ndarray]]) -> None:
    """How many requests failed, how many replies are not of the version that they name, and how often it changed."""
    errors, mixed, by_version, changes, last = 0, 0, Counter[str](), 0, ""
    for answer in sorted(answers, key=lambda each: each.sent):
        if answer.status != 200:
            errors += 1
            continue
        reply = json.loads(answer.body)
        version, scores = reply["version"], reply["heads"]["consideration"]
        mixed += not np.allclose(scores, expected[version][answer.number % len(expected[version])], rtol=1e-5)
        by_version[version] += 1
        changes += last not in ("", version)
        last = version
    seen = latencies(answers)
    print(
        f"{len(answers):,} requests over {changes} swaps: {errors} errors, {mixed} mixed replies; replies by version "
        f"{dict(by_version)}; p50 {seen.p50:.2f} ms, p99 {seen.p99:.2f} ms, max {seen.most:.2f} ms"
    )


if __name__ == "__main__":
    main()
