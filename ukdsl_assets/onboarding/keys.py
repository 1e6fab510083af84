"""Which columns of scored candidates are the request's id, the candidate's id and the request's time."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ukdsl_assets.errors import OnboardingError
from ukdsl_assets.onboarding.columns import Column, Guess, names_told
from ukdsl_assets.onboarding.moments import Moment, how_likely_the_time, moment_of, near_moments

# Words of the names of ids, the more telling ones first.
OF_REQUESTS = (
    ("request", "req", "auction", "requestid", "reqid"),
    ("query", "search", "opportunity", "pageview"),
    ("page", "session", "visit", "slate", "impression"),
)
OF_CANDIDATES = (
    ("candidate", "item", "ad", "product", "doc", "document", "sku", "listing", "article", "module", "video", "offer"),
    ("creative", "content", "song", "track", "movie", "story", "post", "note", "itemid", "adid"),
)
# A name that ends so is that of the thing's id, not of something else about it.
_OF_IDS = ("id", "key", "uuid", "guid", "no", "number", "nr", "code", "hash")
_SMALLEST_REQUEST = 1.2
# A share of what should hold of all rows; a sample may cut a request in two.
NEARLY_ALL = 0.99


@dataclass(frozen=True)
class Keys:
    """Columns of the ids and the time, and whether the time is one a request."""

    request: str
    candidate: str
    time: Moment
    one_time: bool
    guesses: tuple[Guess, ...]


def guess_keys(columns: Mapping[str, Column], chosen: Mapping[str, str]) -> Keys:
    """The ids and the time of scored candidates: by names, and by what holds of them whatever they are called.

    A request has several rows of one time, and each candidate once.

    Args:
        columns: of a sample that has whole requests, mostly.
        chosen: contract column -> column that a person named; taken as it is.

    Raises:
        OnboardingError: there is no such column; says what was looked for, and the option that names it.
    """
    frame = pl.DataFrame([column.values for column in columns.values()])
    moments = [moment for column in columns.values() if (moment := moment_of(column)) is not None]
    if "requested_at" in chosen:
        moments = [moment for moment in moments if moment.column == chosen["requested_at"]]
    moments.sort(key=lambda each: -how_likely_the_time(columns[each.column], "request", "requested", "auction", "req"))
    if not moments:
        raise OnboardingError(
            "no column of times: looked for datetimes, ISO texts such as 2026-03-01T12:00:00Z, and seconds, "
            "milliseconds, microseconds or nanoseconds since 1970, of one form in all rows."
            f"{near_moments(columns.values())} {name_it(columns, 'requested_at')}"
        )
    keys = [c for c in columns.values() if _may_be_key(c) and c.name not in {m.column for m in moments}]
    request, time, one_time, why = _request(frame, keys, moments, chosen.get("request_id"), columns)
    _check_present(columns[request], "request_id")
    candidate, why_candidate = _candidate(frame, keys, request, chosen.get("candidate_id"), columns)
    sizes = frame.group_by(request).len()["len"]
    told = f"{len(sizes):,} of {float(sizes.mean() or 0):.0f} rows each in the sample"  # type: ignore[arg-type]
    in_form = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds", "s": "seconds"}.get(
        time.form, time.form
    )
    certain = 0.95 if one_time or "requested_at" in chosen else 0.7
    guesses = (
        Guess("request_id", request, why[0], f"{why[1]}; {told}"),
        Guess("candidate_id", candidate, *why_candidate),
        Guess(
            "requested_at",
            time.column,
            certain if time.has_zone else 0.5,
            in_form + ("" if one_time else ", several a request"),
        ),
    )
    return Keys(request, candidate, time, one_time, guesses)


def name_it(columns: Mapping[str, Column], what: str) -> str:
    """How a person names a column that was not found."""
    return f"Columns are {names_told(columns.values())}. Name it: --column {what}=COLUMN"


def _may_be_key(column: Column) -> bool:
    named = bool(likely(column, OF_REQUESTS) or likely(column, OF_CANDIDATES))
    return column.may_be_key or (named and column.is_whole and column.distinct > 1)


def _check_present(column: Column, what: str) -> None:
    if column.full:
        return
    missing = ~column.present
    raise OnboardingError(
        f"{int(missing.sum()):,} of {len(missing):,} rows have no `{column.name}`, the first of them row "
        f"{missing.arg_max() or 0:,} from 0; expected a {what} on each. Leave those rows out, or name another column: "
        f"--column {what}=COLUMN"
    )


def likely(column: Column, words: tuple[tuple[str, ...], ...]) -> int:
    """How much a name says of an id: 0 nothing, more for more telling words and for `id` itself."""
    rest = [word for word in column.words if word not in _OF_IDS]
    for weight, group in zip((6, 4, 2), words, strict=False):
        if any(word in group for word in column.words) and (len(rest) <= 1 or column.words[-1] in _OF_IDS):
            return weight + (column.words[-1] in _OF_IDS)
    return 0


def _request(
    frame: pl.DataFrame, keys: list[Column], moments: list[Moment], chosen: str | None, columns: Mapping[str, Column]
) -> tuple[str, Moment, bool, tuple[float, str]]:
    fitting = [c for c in keys if len(frame) / max(c.distinct, 1) >= _SMALLEST_REQUEST]
    if chosen is not None:
        fitting = [columns[chosen]]
    found = []
    for place, moment in enumerate(moments):
        for column in fitting:
            same = frame.group_by(column.name).agg(pl.col(moment.column).n_unique() == 1)[moment.column].mean()
            one_time = float(same or 0) >= NEARLY_ALL  # type: ignore[arg-type]
            named = likely(column, OF_REQUESTS)
            if one_time or named or chosen is not None:
                # Of those that have one time, the coarsest is the request; users come back at another time.
                found.append((-(named + 3 * one_time), place, column.distinct, column.name, moment, one_time, named))
    if not found:
        raise OnboardingError(
            "no column of request ids: looked for texts or whole numbers that several rows share, with one time a "
            f"request or a name such as request_id. {name_it(columns, 'request_id')}"
        )
    *_, name, moment, one_time, named = min(found, key=lambda each: each[:4])
    if chosen is not None:
        return name, moment, one_time, (1.0, "as you said")
    words = "named so" if named else "its rows share one time"
    return name, moment, one_time, (0.95 if named and one_time else 0.7 if one_time else 0.6, words)


def _candidate(
    frame: pl.DataFrame, keys: list[Column], request: str, chosen: str | None, columns: Mapping[str, Column]
) -> tuple[str, tuple[float, str]]:
    most = int(frame.group_by(request).len()["len"].max() or 0)  # type: ignore[arg-type]
    found = []
    for column in [columns[chosen]] if chosen is not None else keys:
        if column.name == request:
            continue
        once = frame.select(pl.struct(request, column.name).n_unique()).item() / len(frame)
        named = likely(column, OF_CANDIDATES)
        if once < 1 and (chosen is not None or named):
            # One that few requests have once is another thing, unless there is none beside it: all rows stand twice.
            tier = 1 if chosen is not None or once > 0.9 else 3
            found.append((tier, -named, 0, column.name, once, named))
        if once == 1:
            # A place in the list is once in each request too, and an id of the row is never seen again.
            is_place = (
                column.dtype.is_integer() and column.high is not None and column.high - (column.low or 0) <= 1.5 * most
            )
            is_row = column.distinct > 0.9 * len(frame)
            tier = 0 if named or chosen is not None else 2
            found.append((tier, -named + 2 * is_place + is_row, -column.distinct, column.name, once, named))
    if not found:
        raise OnboardingError(
            "no column of candidate ids: looked for texts or whole numbers that a request has once each. "
            + name_it(columns, "candidate_id")
        )
    # One that is named so and stands twice is wrong; a place in a list that is there too is no id in its stead.
    *_, name, once, named = min(found)
    _check_present(columns[name], "candidate_id")
    if once < 1:
        twice = len(frame) - round(once * len(frame))
        key = frame.group_by(request, name).len().filter(pl.col("len") > 1).sort(request, name).row(0)
        raise OnboardingError(
            f"several rows of one candidate in one request: {twice:,} of {len(frame):,} rows have a ({request}, "
            f"{name}) that another has, e.g. {key[:2]} {key[2]} times; expected one row with the predictions of all "
            "stages side by side. Keep the row of the deepest stage, or name another id: --column candidate_id=COLUMN"
        )
    if chosen is not None:
        return name, (1.0, "as you said")
    return name, (0.95, "named so; once a request") if named else (0.65, "once a request, and in several requests")
