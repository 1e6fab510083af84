"""What the server logs: pages with every candidate that they considered, and events; and their columns."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.pages.page import Page
from ukdsl_assets.serving.http.log_columns import candidate_log_schema, event_log_schema

if TYPE_CHECKING:
    import pyarrow as pa

Identifier = int | str


class LoggedPage(NamedTuple):
    """A page as it was served.

    requested_at: in UTC. request, candidates: their features, as given. page: what was shown. predictions: column of
    the log -> probabilities of the stage, one a candidate.
    """

    cascade: str
    request_id: Identifier
    requested_at: datetime
    request: Mapping[str, Any]
    candidates: Sequence[Mapping[str, Any]]
    page: Page
    predictions: Mapping[str, NDArray[np.float32]]

    @property
    def day(self) -> date:
        """The UTC day whose logs it belongs to."""
        return self.requested_at.date()

    def slots(self) -> list[int | None]:
        """Of each candidate, from 1; None where it was not shown."""
        slots: list[int | None] = [None] * len(self.candidates)
        for slot, place in enumerate(self.page.order.tolist(), 1):
            slots[place] = slot
        return slots

    def propensities(self) -> list[float | None]:
        """Of each candidate that a randomised policy showed; None for the others.

        They may take a while to work out, which is why this is for the thread that writes.
        """
        known: list[float | None] = [None] * len(self.candidates)
        if self.page.explored:
            for place in self.page.order.tolist():
                known[place] = float(self.page.propensity[place])
        return known


class LoggedEvent(NamedTuple):
    """What a user did; times are in UTC. requested_at: of its page, whose day's log it belongs to."""

    cascade: str
    request_id: Identifier
    requested_at: datetime
    candidate_id: Identifier
    event: str
    occurred_at: datetime
    value: float | None

    @property
    def day(self) -> date:
        """The UTC day whose logs it belongs to: that of its request."""
        return self.requested_at.date()


def candidate_table(cascade: Cascade, pages: Sequence[LoggedPage]) -> "pa.Table":
    """Rows of the candidate log, in the contract's columns."""
    import pyarrow as pa

    counts = [len(page.candidates) for page in pages]
    stage = cascade.stages[0].name

    def of_page(values: Sequence[Any]) -> list[Any]:
        return list(chain.from_iterable([value] * count for value, count in zip(values, counts, strict=True)))

    def of_candidates(name: str) -> list[Any]:
        return [candidate.get(name) for page in pages for candidate in page.candidates]

    slots = list(chain.from_iterable(page.slots() for page in pages))
    propensities = list(chain.from_iterable(page.propensities() for page in pages))
    columns: dict[str, list[Any]] = {
        "request_id": of_page([page.request_id for page in pages]),
        "candidate_id": of_candidates("candidate_id"),
        "requested_at": of_page([page.requested_at for page in pages]),
        "deepest_stage": [stage] * len(slots),
        "shown": [slot is not None for slot in slots],
        "explored": [propensity is not None for propensity in propensities],
        "propensity": propensities,
    }
    for feature in cascade.features:
        if feature.served_as is not None:
            columns[feature.name] = slots if feature.values == "integer" else [slot and str(slot) for slot in slots]
        elif feature.side == "request":
            columns[feature.name] = of_page([page.request.get(feature.name) for page in pages])
        else:
            columns[feature.name] = of_candidates(feature.name)
    schema = candidate_log_schema(cascade)
    for name in schema.names:
        if name not in columns:
            columns[name] = list(chain.from_iterable(page.predictions[name].tolist() for page in pages))
    return pa.table({name: _array(columns[name], schema.field(name).type) for name in schema.names}, schema=schema)


def _array(values: Sequence[Any], kind: Any) -> "pa.Array":
    """Arrow refuses whole numbers as 32-bit floats from 2^24 on, those too that 32 bits hold."""
    import pyarrow as pa

    if pa.types.is_float32(kind):
        return pa.array(np.array(values, np.float32), kind, from_pandas=True)
    if pa.types.is_fixed_size_list(kind):
        values = [None if value is None else np.array(value, np.float32) for value in values]
    return pa.array(values, kind)


def event_table(cascade: Cascade, events: Sequence[LoggedEvent]) -> "pa.Table":
    """Rows of the event log, in the contract's columns; a table without rows where there are none."""
    import pyarrow as pa

    schema = event_log_schema(cascade)
    columns = {
        name: pa.array([getattr(each, name) for each in events], schema.field(name).type) for name in schema.names
    }
    return pa.table(columns, schema=schema)
