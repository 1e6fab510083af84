"""Which framework and server: one handler, the same in each, and what a request costs in CPU seconds of the server.

    pip install fastapi litestar granian "uvicorn[standard]" onnx onnxruntime numpy      # in an environment of its own
    python -m benchmarks.serving.frameworks [--requests 4000] [--runs 3]

The handler reads JSON of twelve modules of eleven features, runs a network of 97-128-64-2 in onnxruntime and writes
JSON. One server process, sixteen connections that ask as soon as they were answered; CPU seconds and not wall time, so
that a busy machine says the same.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.serving.load import Target, closed_loop, cpu_seconds

UVICORN = ["-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--port", "{port}"]
FAST, PURE = ["--loop", "uvloop", "--http", "httptools"], ["--loop", "asyncio", "--http", "h11"]
GRANIAN = [
    "-m",
    "granian",
    "--interface",
    "asgi",
    "--workers",
    "1",
    "--no-ws",
    "--log-level",
    "warning",
    "--port",
    "{port}",
]
SERVERS: dict[str, list[str]] = {
    "uvicorn, asyncio, h11": [*UVICORN, *PURE],
    "uvicorn, uvloop, httptools": [*UVICORN, *FAST],
    "granian, uvloop": [*GRANIAN, "--loop", "uvloop"],
}
FRAMEWORKS = ("starlette", "fastapi", "fastapi_models", "litestar")
MODEL = "UKDSL_BENCHMARK_MODEL"
FEATURES = ("segment", "device", "category", "price", "last", "pages", "module", "kind", "relevance", "age", "rank")


def page(rng: np.random.Generator) -> bytes:
    """A request of twelve rows."""
    rows = [
        {name: round(float(value), 4) for name, value in zip(FEATURES, rng.normal(size=11), strict=True)}
        for _ in range(12)
    ]
    return json.dumps({"rows": rows}).encode()


def make_model(path: Path) -> None:
    """An ONNX file of random weights: [n, 97] -> [n, 2]."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng, nodes, weights, before = np.random.default_rng(0), [], [], "x"
    for place, (inputs, outputs) in enumerate([(97, 128), (128, 64), (64, 2)]):
        for name, shape in ((f"w{place}", (inputs, outputs)), (f"b{place}", (outputs,))):
            weights.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32) / 10, name))
        nodes.append(helper.make_node("Gemm", [before, f"w{place}", f"b{place}"], [f"g{place}"]))
        nodes.append(helper.make_node("Sigmoid" if place == 2 else "Relu", [f"g{place}"], [before := f"h{place}"]))
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [None, 97]), ("h2", [None, 2]))
    )
    save(
        helper.make_model(
            helper.make_graph(nodes, "g", [x], [y], weights), opset_imports=[helper.make_opsetid("", 20)], ir_version=10
        ),
        path,
    )


def scorer() -> Callable[[list[dict[str, float]]], list[list[float]]]:
    """Rows -> probabilities, by the file that MODEL names."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(os.environ[MODEL], options)

    def score(rows: list[dict[str, float]]) -> list[list[float]]:
        x = np.zeros((len(rows), 97), np.float32)
        for place, name in enumerate(FEATURES):
            x[:, place] = [row[name] for row in rows]
        scores: list[list[float]] = session.run(None, {"x": x})[0].tolist()
        return scores

    return score


def starlette() -> Any:
    """Starlette and the JSON reader of pydantic-core."""
    from pydantic_core import from_json, to_json
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    score = scorer()

    async def answer(request: Request) -> Response:
        rows = from_json(await request.body())["rows"]
        return Response(to_json({"scores": score(rows)}), media_type="application/json")

    return Starlette(routes=[Route("/score", answer, methods=["POST"])])


def fastapi() -> Any:
    """FastAPI with a handler that reads and writes for itself."""
    from fastapi import FastAPI
    from pydantic_core import from_json, to_json
    from starlette.requests import Request
    from starlette.responses import Response

    score, app = scorer(), FastAPI()

    @app.post("/score")
    async def answer(request: Request) -> Response:
        rows = from_json(await request.body())["rows"]
        return Response(to_json({"scores": score(rows)}), media_type="application/json")

    return app


def fastapi_models() -> Any:
    """FastAPI as its documentation has it: models of pydantic in and out."""
    from fastapi import FastAPI
    from pydantic import BaseModel, create_model

    score, app = scorer(), FastAPI()
    fields: dict[str, Any] = dict.fromkeys(FEATURES, (float, ...))
    row: Any = create_model("Row", **fields)
    page_of: Any = create_model("Page", rows=(list[row], ...))

    class Scores(BaseModel):
        scores: list[list[float]]

    async def answer(page: Any) -> Scores:
        return Scores(scores=score([each.__dict__ for each in page.rows]))

    answer.__annotations__["page"] = page_of
    app.post("/score")(answer)
    return app


def litestar() -> Any:
    """Litestar with msgspec in and out."""
    from litestar import Litestar, post  # type: ignore[import-not-found]

    score = scorer()

    async def answer(data: dict[str, list[dict[str, float]]]) -> dict[str, list[list[float]]]:
        return {"scores": score(data["rows"])}

    return Litestar([post("/score", status_code=200)(answer)])


def __getattr__(name: str) -> Any:
    """`app_NAME` for the servers' command lines."""
    if name.startswith("app_"):
        return globals()[name.removeprefix("app_")]()
    raise AttributeError(name)


def measure(server: str, framework: str, requests: int) -> tuple[float, float]:
    """CPU milliseconds a request of the server, and CPU seconds until it listened."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [word.format(port=port) for word in SERVERS[server]]
    started = subprocess.Popen(
        [sys.executable, *command, f"benchmarks.serving.frameworks:app_{framework}"], start_new_session=True
    )
    try:
        listens(port)
        # Granian serves from a child.
        pids = [started.pid, *children(started.pid)]
        target, rng = Target("127.0.0.1", port, "/score"), np.random.default_rng(1)
        bodies = [page(rng) for _ in range(100)]
        begun = sum(map(cpu_seconds, pids))
        asyncio.run(closed_loop(target, bodies, 300, 16))
        before = sum(map(cpu_seconds, pids))
        asyncio.run(closed_loop(target, bodies, requests, 16))
        return (sum(map(cpu_seconds, pids)) - before) * 1e3 / requests, begun
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait()


def listens(port: int, seconds: float = 30) -> None:
    """Returns once something listens there."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Every pair, in turn, a few times; the median."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[MODEL] = f"{folder}/model.onnx"
        make_model(Path(os.environ[MODEL]))
        pairs = [(server, framework) for server in SERVERS for framework in FRAMEWORKS]
        seen: dict[tuple[str, str], list[tuple[float, float]]] = {pair: [] for pair in pairs}
        for _ in range(chosen.runs):
            for pair in pairs:
                seen[pair].append(measure(*pair, chosen.requests))
        print(f"CPU ms a request ({chosen.requests:,} requests, median of {chosen.runs}), CPU s to start")
        for (server, framework), runs in seen.items():
            cost, start = (median(each) for each in zip(*runs, strict=True))
            print(f"| {server} | {framework} | {cost:.3f} | {start:.2f} |", flush=True)


if __name__ == "__main__":
    main()
