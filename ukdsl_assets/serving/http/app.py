"""The ASGI app: routes, what is done around each of them, and what begins and ends with the server."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ukdsl_assets.errors import RequestError, ScoringError
from ukdsl_assets.serving.http.alive import health, metrics, ready
from ukdsl_assets.serving.http.description import description
from ukdsl_assets.serving.http.events import events
from ukdsl_assets.serving.http.follow import Follower
from ukdsl_assets.serving.http.problems import reply
from ukdsl_assets.serving.http.ranking import rank
from ukdsl_assets.serving.http.scoring import score
from ukdsl_assets.serving.http.service import Service

Endpoint = Callable[[Service, Request], Awaitable[Response]]

# Method, path and endpoint; the description says the same of each for every cascade and student that is served.
ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/score/{cascade}/{student}", score),
    ("POST", "/rank/{cascade}", rank),
    ("POST", "/events/{cascade}", events),
    ("GET", "/health", health),
    ("GET", "/ready", ready),
    ("GET", "/metrics", metrics),
    ("GET", "/openapi.json", description),
)

_log = logging.getLogger(__name__)


def app_of(service: Service, follower: Follower | None = None) -> Starlette:
    """The app; where it is started, the follower begins to look and the logs are written, and both end with it.

    Args:
        follower: None for models that stay as they are.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if service.log is not None:
            service.log.start()
        if follower is not None:
            follower.start()
        yield
        # Requests under way have been answered by now.
        if follower is not None:
            follower.stop(service.limits.stop_seconds)
        service.close()
        if service.log is not None:
            service.log.stop(service.limits.stop_seconds)

    routes = [Route(path, _around(service, path, endpoint), methods=[method]) for method, path, endpoint in ROUTES]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _no_route})
    # A path with a slash too many is told like any other that there is not.
    app.router.redirect_slashes = False
    return app


def _around(service: Service, path: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Counts, measures, and answers errors in words; a fault of the program is 500 and stays in the server's log."""
    route = path.partition("/{")[0]
    in_flight, seconds = service.metrics.in_flight, service.metrics.seconds

    async def answered(request: Request) -> Response:
        began = time.perf_counter()
        in_flight.inc()
        try:
            response = await endpoint(service, request)
        except RequestError as error:
            response = reply(error)
        except ScoringError as error:
            _log.warning("%s: the model refused: %s", route, error)
            response = reply(_of_server(503, "the model refused", str(error)))
        except Exception:
            _log.exception("%s: a fault of the program", route)
            response = reply(_of_server(500, "a fault of the program", "an error that nobody foresaw"))
        finally:
            in_flight.dec()
        seconds.labels(route, str(response.status_code)).observe(time.perf_counter() - began)
        return response

    return answered


def _of_server(status: int, what: str, seen: str) -> RequestError:
    fix = "send it again; where it stays, whoever runs the server finds more in its log"
    return RequestError(status, what, where="the server", seen=seen, expected="an answer", fix=fix)


async def _no_route(request: Request, error: Exception) -> Response:
    """404 and 405 in the form of all other problems."""
    assert isinstance(error, HTTPException)
    known = ", ".join(f"{method} {path}" for method, path, _ in ROUTES)
    if error.status_code == 405:
        what, seen = "the path has another method", request.method
    else:
        what, seen = "no such path", request.url.path[:80]
    response = reply(
        RequestError(
            error.status_code,
            what,
            where="the path",
            seen=seen,
            expected=f"one of {known}",
            fix="ask /openapi.json for all",
        )
    )
    response.headers.update(error.headers or {})
    return response
