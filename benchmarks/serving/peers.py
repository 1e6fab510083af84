"""The same ONNX file behind other servers, each as its documentation has it: rows of features in, a head's scores out.

    PYTHON benchmarks/serving/peers.py {litserve,bentoml,ray} FILE PORT

Run by `benchmarks.serving.http --peer NAME=PYTHON`, where Python has the server, numpy and onnxruntime. Columns are
made by `OnnxStudent`, as in `ukdsl serve`; neither versions, pages nor logs are there.
"""

import os
import sys
from pathlib import Path
from typing import Any

# In place of this folder, whose `http` would be taken for Python's.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from ukdsl_assets.serving.onnx_file import OnnxStudent  # noqa: E402

HEAD = "consideration"
# Names the file for processes that a server starts.
FILE = "UKDSL_BENCHMARK_FILE"


def scores_of(student: OnnxStudent, rows: list[dict[str, Any]]) -> list[float]:
    """Probabilities of rows."""
    scores: list[float] = student.score(student.columns_of(rows)).heads[HEAD].tolist()
    return scores


def litserve(file: str, port: int) -> None:
    """LitServe: one worker, no batching, since a page is a batch."""
    import litserve as ls

    os.environ[FILE] = file
    server = ls.LitServer(__getattr__("LitApi")(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, log_level="warning", generate_client_file=False)


def bentoml(file: str, port: int) -> None:
    """BentoML: one worker."""
    os.environ[FILE] = file
    sys.argv = ["bentoml", "serve", "benchmarks.serving.peers:Bento", "--port", str(port), "--host", "127.0.0.1"]
    os.chdir(Path(__file__).resolve().parents[2])
    from bentoml_cli.cli import cli

    cli()


def ray(file: str, port: int) -> None:
    """Ray Serve: one replica, and its proxy, on the one core."""
    import time

    import ray as of_ray
    from ray import serve
    from starlette.requests import Request

    root = str(Path(__file__).resolve().parents[2])

    @serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=64)
    class Server:
        def __init__(self, file: str) -> None:
            self.student = OnnxStudent.load(file)

        async def __call__(self, request: Request) -> dict[str, list[float]]:
            return {"scores": scores_of(self.student, (await request.json())["rows"])}

    of_ray.init(num_cpus=1, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": root}})
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    bound: Any = Server
    serve.run(bound.bind(file), route_prefix="/predict")
    while True:
        time.sleep(60)


def __getattr__(name: str) -> Any:
    """What other processes of a server look for here, by name: its classes need a library that others lack."""
    if name not in ("LitApi", "Bento"):
        raise AttributeError(name)
    globals()[name] = _lit_api() if name == "LitApi" else _bento()
    return globals()[name]


def _lit_api() -> Any:
    import litserve as ls

    class LitApi(ls.LitAPI):
        def setup(self, device: str) -> None:
            self.student = OnnxStudent.load(os.environ[FILE])

        def decode_request(self, request: dict[str, Any]) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = request["rows"]
            return rows

        def predict(self, rows: list[dict[str, Any]]) -> list[float]:
            return scores_of(self.student, rows)

        def encode_response(self, scores: list[float]) -> dict[str, list[float]]:
            return {"scores": scores}

    LitApi.__qualname__ = "LitApi"
    return LitApi


def _bento() -> Any:
    import bentoml as of_bentoml

    @of_bentoml.service(workers=1)
    class Bento:
        def __init__(self) -> None:
            self.student = OnnxStudent.load(os.environ[FILE])

        @of_bentoml.api(route="/predict")
        def predict(self, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
            return {"scores": scores_of(self.student, rows)}

    return Bento


if __name__ == "__main__":
    {"litserve": litserve, "bentoml": bentoml, "ray": ray}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
