"""`GET /health`, `/ready` and `/metrics`: whether the server runs, whether every model answers, and what it counts."""

import asyncio

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from ukdsl_assets.serving.http.service import Service
from ukdsl_assets.serving.http.wire import JSON

# The text format of Prometheus.
METRICS = "text/plain; version=1.0.0; charset=utf-8"


async def health(service: Service, request: Request) -> Response:
    """The process answers; it may have no model yet."""
    return Response(to_json({"alive": True}), media_type=JSON)


async def ready(service: Service, request: Request) -> Response:
    """200 once every student has a model that answers, else 503; either way how far each is."""
    models = service.models
    current, students = models.current, {}
    for key in models.keys:
        standing, model = models.standing[key], current.get(key)
        students["/".join(key)] = {
            "state": standing.state,
            "version": model and model.version,
            "released": standing.released,
            "why": standing.why,
        }
    is_ready = models.ready
    return Response(to_json({"ready": is_ready, "students": students}), 200 if is_ready else 503, media_type=JSON)


async def metrics(service: Service, request: Request) -> Response:
    """What Prometheus scrapes; it is put together beside the event loop."""
    return Response(await asyncio.to_thread(service.metrics.text), media_type=METRICS)
