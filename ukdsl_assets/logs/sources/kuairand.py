"""KuaiRand-Pure (Gao et al., CIKM 2022; CC BY-SA 4.0) as a cascade: real impressions, drawn unshown candidates.

A request is a user's impressions of one tab within a session. The release holds no unshown candidates, so they are
drawn from the videos that others were shown in the same tab on the same day: whatever is made of them is semi-real.
Days are UTC days of `time_ms`; the log's own `date` is Beijing time, 8 hours ahead, so that the log begins in the
evening of 24 April UTC: those rows belong to no declared day and are not used, not even as history.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.sources import KuaiRandSource as Declaration
from ukdsl_assets.errors import SourceError
from ukdsl_assets.frames.casts import TIMESTAMP
from ukdsl_assets.frames.conform import conform
from ukdsl_assets.logs.contract import DayOfLogs, candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.logs.sources.kuairand_features import add_features

LOGS = ("val.parquet", "test.parquet")
USERS = "user_features_pure.csv"
VIDEOS = "video_features_basic_pure.csv"
# Random keys drawn at once, 4 bytes each.
KEYS_AT_ONCE = 4_000_000


def absent_files(folder: Path) -> str:
    """Which files of KuaiRand-Pure the folder lacks and what to do; an empty text where all are there."""
    absent = [name for name in (*LOGS, USERS, VIDEOS) if not (folder / name).is_file()]
    if not absent:
        return ""
    return (
        f"{folder}: {', '.join(absent)} of KuaiRand-Pure not found; get the data set (https://kuairand.com) and set "
        "UKDSL_KUAIRAND to its folder"
    )


class KuaiRandReader:
    """Reads a day of KuaiRand-Pure; the same declaration and day give the same rows, whatever was read before."""

    def __init__(self, cascade: Cascade, folder: Path) -> None:
        """Take the declaration and the folder of the release; nothing is read yet.

        Raises:
            SourceError: the cascade's source is not of kind `kuairand`, or the folder or a file of it is absent.
        """
        if not isinstance(cascade.source, Declaration):
            raise SourceError(f"{cascade.origin}: source is of kind `{cascade.source.kind}`, expected `kuairand`")
        if absent := absent_files(folder):
            raise SourceError(absent)
        self.cascade = cascade
        self.declared = cascade.source
        self.folder = folder

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        """The day as one part, as `read` gives it; unshown candidates are drawn from all of it."""
        yield self.read(day)

    def read(self, day: date) -> DayOfLogs:
        """One UTC day of both logs; a few hundred milliseconds.

        Raises:
            SourceError: the day is outside first_day to last_day of the cascade, or holds no impressions.
        """
        first, last = self.cascade.first_day, self.cascade.last_day
        today = self.impressions.filter(pl.col("day") == day)
        if day < first or (last is not None and day > last) or today.is_empty():
            raise SourceError(f"{self.folder}: no impressions of the UTC day {day}; declared are {first} to {last}")
        earlier = self.impressions.filter(pl.col("day").is_between(first, day, closed="left"))
        shown = requests_of(today, self.declared.session_gap)
        drawn = draw_unshown(shown, self.declared.candidates_per_impression, [self.declared.seed, day.toordinal()])
        request = shown.select("request_id", "user_id", "tab", "requested_at").unique("request_id")
        candidates = pl.concat([shown.select("request_id", "video_id", shown=True), drawn.with_columns(shown=False)])
        candidates = candidates.sort("request_id", "video_id").join(
            request, on="request_id", how="left", maintain_order="left"
        )
        log = add_features(candidates, earlier, self.users, self.videos).with_columns(
            pl.lit(self.cascade.stages[-1].name).alias("deepest_stage"),
            pl.lit(False).alias("explored"),
            pl.lit(None, pl.Float32).alias("propensity"),
            candidate_id="video_id",
        )
        where = f"{self.folder}, day {day}"
        return DayOfLogs(
            conform(log, candidate_log_dtypes(self.cascade), where),
            conform(_events(shown), event_log_dtypes(self.cascade), where),
        )

    @cached_property
    def impressions(self) -> pl.DataFrame:
        """The log of the declared tabs without its exact duplicates, by time."""
        log = pl.concat([pl.read_parquet(self.folder / name, glob=False) for name in LOGS]).unique(maintain_order=True)
        if self.declared.tabs is not None:
            log = log.filter(pl.col("tab").is_in(self.declared.tabs))
        occurred_at = pl.from_epoch("time_ms", "ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return log.select("user_id", "video_id", "tab", "is_click", "long_view", occurred_at=occurred_at).select(
            pl.all(), day=pl.col("occurred_at").dt.date()
        )

    @cached_property
    def users(self) -> pl.DataFrame:
        return pl.read_csv(self.folder / USERS, infer_schema_length=None, glob=False)

    @cached_property
    def videos(self) -> pl.DataFrame:
        return pl.read_csv(self.folder / VIDEOS, infer_schema_length=None, glob=False)


def requests_of(impressions: pl.DataFrame, session_gap: timedelta) -> pl.DataFrame:
    """Group one day's impressions into requests.

    Args:
        impressions: user_id, tab, video_id, occurred_at (UTC), all of one UTC day (a session over midnight is split).
        session_gap: a longer pause of a user in a tab starts a new request.

    Returns:
        The impressions with requested_at (of the request's first) and request_id (day and dense order by time, user and
        tab: yyyymmdd000000 onwards), of each video the first in its request.
    """
    by_time = impressions.sort("user_id", "tab", "occurred_at", maintain_order=True)
    pause = pl.col("occurred_at") - pl.col("occurred_at").shift(1).over("user_id", "tab")
    sessions = by_time.with_columns(session=(pause.is_null() | (pause > session_gap)).cum_sum())
    rows = sessions.unique(["session", "video_id"], keep="first", maintain_order=True).with_columns(
        requested_at=pl.col("occurred_at").first().over("session")
    )
    order = pl.struct("requested_at", "user_id", "tab").rank("dense").cast(pl.Int64) - 1
    number = pl.col("requested_at").dt.strftime("%Y%m%d").cast(pl.Int64) * 1_000_000 + order
    return rows.drop("session").with_columns(request_id=number).sort("request_id", "video_id")


def draw_unshown(shown: pl.DataFrame, per_impression: int, seed: list[int]) -> pl.DataFrame:
    """Draw unshown candidates, uniformly without replacement.

    A request draws from the videos of its tab that its user was not shown there on this day (so they were shown to
    others), `per_impression` for each video shown in it, or all where there are fewer.

    Args:
        shown: request_id, user_id, tab, video_id of a whole day.
        per_impression: candidates drawn for each shown one.
        seed: of the draw; the order of the rows of `shown` does not matter.

    Returns:
        request_id and video_id (Int64), in no particular order.
    """
    random = np.random.default_rng(seed)
    parts = [np.empty((0, 2), dtype=np.int64)]
    requests = shown.group_by("tab", "request_id", "user_id").agg(count=pl.len())
    for (tab,), in_tab in sorted(shown.partition_by("tab", as_dict=True).items()):
        videos, users = (np.unique(in_tab[column].to_numpy()) for column in ("video_id", "user_id"))
        was_shown = np.zeros((len(users), len(videos)), dtype=bool)
        was_shown[np.searchsorted(users, in_tab["user_id"]), np.searchsorted(videos, in_tab["video_id"])] = True
        alike = requests.filter(pl.col("tab") == tab).partition_by("count", as_dict=True)
        for (count,), group in sorted(alike.items()):
            wanted = min(count * per_impression, len(videos))
            for chunk in group.sort("request_id").iter_slices(max(1, KEYS_AT_ONCE // len(videos))):
                # The videos with the smallest of independent random keys are a draw without replacement.
                keys = random.random((chunk.height, len(videos)), dtype=np.float32)
                keys[was_shown[np.searchsorted(users, chunk["user_id"])]] = 2.0
                chosen = np.argpartition(keys, wanted - 1, axis=1)[:, :wanted]
                row, column = np.nonzero(np.take_along_axis(keys, chosen, axis=1) < 1.0)
                parts.append(np.column_stack([chunk["request_id"].to_numpy()[row], videos[chosen[row, column]]]))
    return pl.DataFrame(np.concatenate(parts), schema=["request_id", "video_id"])


def _events(shown: pl.DataFrame) -> pl.DataFrame:
    happened = {"impression": pl.lit(True), "click": pl.col("is_click") == 1, "long_view": pl.col("long_view") == 1}
    events = pl.concat(
        shown.filter(mask).select(
            "request_id",
            pl.col("occurred_at").cast(TIMESTAMP),
            pl.lit(event).alias("event"),
            pl.lit(None, pl.Float32).alias("value"),
            candidate_id="video_id",
        )
        for event, mask in happened.items()
    )
    return events.sort(*KEYS, "occurred_at", "event")
