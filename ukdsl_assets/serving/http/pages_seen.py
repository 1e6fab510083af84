"""Pages that were answered lately: whether they are in the logs, and what they showed, so that events fit the pages."""

import threading
from collections import OrderedDict
from datetime import datetime
from typing import NamedTuple

from ukdsl_assets.serving.http.log_rows import Identifier

REMEMBERED = 100_000


class SeenPage(NamedTuple):
    """A page that was answered. shown: ids of what it showed; logged: whether it is in the logs."""

    requested_at: datetime
    shown: tuple[Identifier, ...]
    logged: bool


class PagesSeen:
    """The last pages by cascade and request; may be shared by threads."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._pages: OrderedDict[tuple[str, Identifier], SeenPage] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, cascade: str, request_id: Identifier) -> SeenPage | None:
        """The page, None where it was not answered here or long ago."""
        return self._pages.get((cascade, request_id))

    def add(self, cascade: str, request_id: Identifier, page: SeenPage) -> None:
        """Remembers a page, and forgets the oldest."""
        with self._lock:
            self._pages[(cascade, request_id)] = page
            if len(self._pages) > self._most:
                self._pages.popitem(last=False)
