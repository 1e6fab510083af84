"""Pages that were answered lately: whether they are in the logs, and what they showed, so that events fit the pages."""

import threading
from collections import OrderedDict
from datetime import datetime
from typing import NamedTuple

from ukdsl_assets.serving.http.log_rows import Identifier

REMEMBERED = 100_000
# Of all pages together, for those that show all of many candidates: some 100 MB.
REMEMBERED_IDS = 2_000_000


class SeenPage(NamedTuple):
    """A page that was answered. shown: ids of what it showed; logged: whether it is in the logs."""

    requested_at: datetime
    shown: tuple[Identifier, ...]
    logged: bool


class PagesSeen:
    """The last pages by cascade and request; may be shared by threads."""

    def __init__(self, most: int = REMEMBERED, most_ids: int = REMEMBERED_IDS) -> None:
        self._most, self._most_ids, self._ids = most, most_ids, 0
        self._pages: OrderedDict[tuple[str, Identifier], SeenPage] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, cascade: str, request_id: Identifier) -> SeenPage | None:
        """The page, None where it was not answered here or long ago."""
        return self._pages.get((cascade, request_id))

    def add(self, cascade: str, request_id: Identifier, page: SeenPage) -> None:
        """Remembers a page, and forgets the oldest."""
        key = (cascade, request_id)
        with self._lock:
            if key in self._pages:
                self._ids -= len(self._pages[key].shown)
            self._pages[key] = page
            self._ids += len(page.shown)
            while len(self._pages) > self._most or (self._ids > self._most_ids and len(self._pages) > 1):
                self._ids -= len(self._pages.popitem(last=False)[1].shown)
