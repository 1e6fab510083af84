"""Which requests a training reads, counted one shard at a time: a day's ids need not be kept to be judged."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

import polars as pl

from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.training.rows import Reader

SHOWN = 3


@dataclass(frozen=True)
class RequestsRead:
    """Distinct requests of some shards, how many of them are withheld, and up to three of those."""

    requests: int = 0
    withheld: int = 0
    examples: tuple[int | str, ...] = ()

    @classmethod
    def of(cls, request_ids: pl.Series, share: float) -> "RequestsRead":
        """Counts of a shard's column request_id, repeats allowed, where `share` of all requests is withheld."""
        distinct = request_ids.unique()
        leaked = distinct.filter(withheld(distinct, share))
        return cls(len(distinct), len(leaked), tuple(leaked.sort().head(SHOWN)))

    def __add__(self, other: "RequestsRead") -> "RequestsRead":
        """Counts of shards that have no request in common."""
        examples = (*self.examples, *other.examples)[:SHOWN]
        return RequestsRead(self.requests + other.requests, self.withheld + other.withheld, examples)


def recorded(readers: Sequence[Reader], share: float, records: MutableMapping[int, RequestsRead]) -> list[Reader]:
    """The readers, which note the requests they read under their place in `records`, when they are first read."""

    def recording(place: int, read: Reader) -> Reader:
        def rows() -> pl.DataFrame:
            frame = read()
            if place not in records:
                records[place] = RequestsRead.of(frame["request_id"], share)
            return frame

        return rows

    return [recording(place, read) for place, read in enumerate(readers)]
