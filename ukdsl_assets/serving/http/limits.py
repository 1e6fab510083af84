"""How much one request may ask for, and how long it may take."""

from dataclasses import dataclass

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of the server.

    Attributes:
        body_bytes: of a request's body, as sent.
        rows: candidates of a request, and events.
        page_seconds: after which a page is answered in the static order.
        request_seconds: for a body to come in, and for rows to be scored.
        concurrency: requests that are read and scored at a time; more get the static order, or are asked to come again.
        threads: that score; one late model holds one of them.
        stop_seconds: that requests under way have once the server is asked to stop, and then the logs to be written.
    """

    body_bytes: int = 8 * MEGABYTE
    rows: int = 10_000
    page_seconds: float = 0.1
    request_seconds: float = 5.0
    concurrency: int = 64
    threads: int = 2
    stop_seconds: float = 20.0
