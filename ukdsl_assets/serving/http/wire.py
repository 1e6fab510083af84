"""Requests and replies as JSON has them: what is checked here, and what the description says of it.

Features are checked by the model that reads them, in its own words; here is what is around them.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from ukdsl_assets.declaration.block import MOST_ID
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import IMPRESSION
from ukdsl_assets.serving.http.models import State

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
Why = Literal["asked for", "no model", "late", "busy", "model refused"]
_Text = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
_Integer = Annotated[int, Field(strict=True, ge=-MOST_ID - 1, le=MOST_ID)]
# In this form names and types are values; type checkers know the other alone.
_typed_dict: Any = TypedDict
# Days of logs are inside what every reader of them can hold.
_Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))]
_Bool = Annotated[bool, Field(strict=True)]
_Value = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-3.4e38, le=3.4e38)]


class Rows(TypedDict):
    """Candidates to score, each with the student's features."""

    rows: list[dict[str, Any]]


class Scored(BaseModel):
    """Probabilities of every row, in their order."""

    cascade: str
    student: str
    version: str = Field(description="Of the checkpoint that scored, all rows by the same.")
    day: str = Field(description="Of the checkpoint.")
    serving_head: str = Field(description="The head that puts candidates in order.")
    heads: dict[str, list[float]] = Field(description="Head: a probability each row.")
    unknown_ids: dict[str, int] = Field(description="Feature: how many of the ids training did not see.")


class Placed(BaseModel):
    """A candidate on the page."""

    candidate_id: int | str
    slot: int = Field(ge=1)
    value: float | None = Field(description="What it was ordered by; null in the static order.")


class Ranked(BaseModel):
    """A page, its slots in order."""

    request_id: int | str
    requested_at: datetime
    order: list[Placed]
    versions: dict[str, str] = Field(description="Student: version of the checkpoint that scored; empty in a fallback.")
    explored: bool = Field(description="Whether chance had a part in what is shown.")
    relaxed: list[str] = Field(description="Rules of the page that gave way, and how far.")
    fallback: bool = Field(description="Whether this is the static order: the candidates as they were given.")
    why: Why | None = Field(description="Of a fallback.")
    logged: bool = Field(description="Whether the page will be in the logs; events of others are left out.")


class EventsTaken(BaseModel):
    """What became of events."""

    accepted: int = Field(ge=0)
    left_out: int = Field(ge=0, description="Those of pages that are not in the logs.")


class Alive(BaseModel):
    """The server answers."""

    alive: Literal[True]


class StudentStanding(BaseModel):
    """How far a student is."""

    state: State
    version: str | None = Field(description="That answers.")
    released: str | None = Field(description="That is released.")
    why: str = Field(description="Why the released one does not answer.")


class Readiness(BaseModel):
    """Whether every student has a model that answers."""

    ready: bool
    students: dict[str, StudentStanding]


class Requests:
    """Readers of the bodies of one cascade, whose identifiers are integers or texts.

    Attributes:
        page_type, events_type: what they read, as types.
        page, events: of `/rank` and `/events`; they keep what they do not know, such as a candidate's features.
    """

    def __init__(self, cascade: Cascade) -> None:
        identifier: Any = _Integer if cascade.identifiers == "integer" else _Text
        kind: Any = Literal[tuple(sorted({IMPRESSION, *(task.event for task in cascade.tasks)}))]
        candidate = _typed_dict("Candidate", {"candidate_id": identifier})
        candidate.__pydantic_config__ = ConfigDict(extra="allow")
        page = _typed_dict(
            "Page",
            {
                "request_id": NotRequired[identifier],
                "requested_at": NotRequired[_Moment],
                "request": NotRequired[dict[str, Any]],
                "static": NotRequired[_Bool],
                "candidates": list[candidate],  # type: ignore[valid-type]
            },
        )
        event = _typed_dict(
            "Event",
            {
                "request_id": identifier,
                "candidate_id": identifier,
                "event": kind,
                "requested_at": NotRequired[_Moment],
                "occurred_at": NotRequired[_Moment],
                "value": NotRequired[_Value | None],
            },
        )
        events = _typed_dict("Events", {"events": list[event]})  # type: ignore[valid-type]
        self.page_type, self.events_type = page, events
        self.page, self.events = TypeAdapter(page), TypeAdapter(events)


ROWS = TypeAdapter(Rows)
