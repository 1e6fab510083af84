"""What all routes share: models, limits, logs, metrics, and the threads that score beside the event loop."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import RequestError, did_you_mean
from ukdsl_assets.serving.http.limits import Limits
from ukdsl_assets.serving.http.metrics import Metrics
from ukdsl_assets.serving.http.models import Models
from ukdsl_assets.serving.http.page_inputs import PageInputs
from ukdsl_assets.serving.http.page_log import PageLog
from ukdsl_assets.serving.http.pages_seen import PagesSeen
from ukdsl_assets.serving.http.wire import Requests

T = TypeVar("T")


class LateError(Exception):
    """The answer did not come within its time."""


class BusyError(Exception):
    """As many requests are being scored as may be."""


@dataclass
class Service:
    """One server's state.

    Attributes:
        cascades: by name, of those that are served.
        models: that answer; limits, metrics: of all routes; log: None where no logs are written.
        trust_events: whether events of pages that this server does not know are taken, by their own `requested_at`.
        seen: pages that were answered lately.
        requests: cascade -> readers of its bodies; pages: cascade -> what its pages need.
    """

    cascades: Mapping[str, Cascade]
    models: Models
    limits: Limits
    metrics: Metrics
    log: PageLog | None = None
    trust_events: bool = False
    seen: PagesSeen = field(default_factory=lambda: PagesSeen())
    requests: dict[str, Requests] = field(init=False)
    pages: dict[str, PageInputs] = field(init=False)
    _places: threading.BoundedSemaphore = field(init=False)
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.requests = {name: Requests(cascade) for name, cascade in self.cascades.items()}
        self.pages = {name: PageInputs(cascade, self.log is not None) for name, cascade in self.cascades.items()}
        self._places = threading.BoundedSemaphore(self.limits.concurrency)
        self._threads = ThreadPoolExecutor(self.limits.threads, thread_name_prefix="score")

    def cascade(self, name: str) -> Cascade:
        """The cascade of a path.

        Raises:
            RequestError: 404 for one that is not served here.
        """
        if name not in self.cascades:
            raise _unknown("cascade", name, list(self.cascades), "the path")
        return self.cascades[name]

    def check_student(self, cascade: str, student: str, where: str = "the path") -> None:
        """Raises RequestError, 404, for a student that is not served here."""
        served = [name for of, name in self.models.keys if of == cascade]
        if student not in served:
            raise _unknown("student", student, served, where)

    async def scored(self, work: Callable[[], T], seconds: float) -> T:
        """What `work` gives, in one of the threads that score.

        Raises:
            BusyError: `limits.concurrency` others are there; nothing was begun.
            LateError: it was not done in time; what has not begun never will.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError
        try:
            under_way = self._threads.submit(work)
        except RuntimeError:
            self._places.release()
            raise BusyError from None
        # A late model keeps its place until it ends, or everything would queue behind it.
        under_way.add_done_callback(lambda _: self._places.release())
        try:
            async with asyncio.timeout(max(seconds, 0)):
                return await asyncio.wrap_future(under_way)
        except TimeoutError:
            raise LateError from None

    def close(self) -> None:
        """Ends the threads; what has not begun never will."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _unknown(what: str, name: str, known: list[str], where: str) -> RequestError:
    near = did_you_mean(name, known)
    return RequestError(
        404,
        f"no such {what} is served here",
        where=where,
        seen=name[:80],
        expected=f"one of {', '.join(known)}" if known else "none: no student of this cascade is served",
        fix=f"ask for one of them{near}",
    )
