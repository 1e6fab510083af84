"""A simulated day as the two frames of the log contract."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time

import numpy as np
import polars as pl

from ukdsl_assets.declaration.columns import KEYS, truth_column
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.simulation.ads.day import PROPENSITY, Probes, SimulatedDay
from ukdsl_assets.simulation.ads.truth import CANDIDATES

REQUESTS_A_DAY = 10_000_000  # request_id = day * this + the request's number
STAGES = {"retrieval": ("click",), "pre_ranking": ("click",), "ranking": ("click", "conversion")}
CONVERSION_VALUE = 10  # bids

_AD_FEATURES = ("ad", "advertiser", "category", "format")
FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(name="user_segment", kind="categorical", side="request"),
        Feature(name="country", kind="categorical", side="request"),
        Feature(name="age_group", kind="categorical", side="request"),
        Feature(name="device", kind="categorical", side="request"),
        Feature(name="hour", kind="categorical", side="request"),
        Feature(name="placement", kind="categorical", side="request"),
        Feature(name="user_profile", kind="vector", side="request", width=4),
        Feature(name="user_profile_detail", kind="vector", side="request", width=4, known_from="ranking"),
        *(Feature(name=name, kind="categorical", side="candidate") for name in _AD_FEATURES),
        Feature(name="pair_signals", kind="vector", side="candidate", width=8, known_from="ranking"),
    )
}


def candidate_log(served: SimulatedDay, midnight: datetime, names: Iterable[str]) -> pl.DataFrame:
    """The day's candidate log, 300 rows a request.

    Args:
        served: a day or some requests of it; with truths, if columns of them are asked for.
        midnight: start of the day, UTC.
        names: the columns to return, in order.

    Raises:
        KeyError: a column that the world does not fill.
    """
    requests, ads = served.requests, served.ads
    rows = served.slots.size
    starts = np.arange(0, rows, CANDIDATES)[:, None]
    pre_ranked, ranked = starts + served.pre_ranked, starts + served.ranked
    shown = np.take_along_axis(ranked, served.shown, axis=1)
    depth = np.zeros(rows, dtype=np.uint8)
    depth[pre_ranked], depth[ranked] = 1, 2
    is_shown = np.zeros(rows, dtype=bool)
    is_shown[shown] = True
    # NumPy gathers by whole words; it would make them of the slots for each column anew.
    of_ad = served.slots.ravel().astype(np.intp)
    is_explored = is_shown & _repeated(served.explored)

    columns = {
        "request_id": _repeated(_request_id(served)),
        "candidate_id": ads.ad[of_ad],
        "requested_at": _moments(midnight, _repeated(requests.microsecond)),
        "deepest_stage": pl.Series(list(STAGES)).gather(pl.Series(depth)),
        "retrieval_click_prediction": served.retrieval_click.ravel(),
        "pre_ranking_click_prediction": _at(pre_ranked, served.pre_ranking_click, rows),
        "ranking_click_prediction": _at(ranked, served.ranking_click, rows),
        "ranking_conversion_prediction": _at(ranked, served.ranking_conversion, rows),
        "bid": ads.bid[of_ad],
        "shown": is_shown,
        "explored": is_explored,
        "propensity": _at(is_explored, np.float32(PROPENSITY), rows),
        "probed": pl.repeat(False, rows, dtype=pl.Boolean, eager=True),
        "probe_rate": pl.repeat(None, rows, dtype=pl.Float32, eager=True),
    }
    if served.probes is not None:
        columns |= _probe_columns(served.probes, columns)
    for name, feature in FEATURES.items():
        if feature.kind == "categorical":
            of_request = feature.side == "request"
            columns[name] = _repeated(getattr(requests, name)) if of_request else getattr(ads, name)[of_ad]
    is_ranked = depth == 2
    columns["user_profile"] = _vectors(_repeated(requests.profile[:, :4]))
    columns["user_profile_detail"] = _where(is_ranked, _vectors(_repeated(requests.profile[:, 4:])))
    # A null index makes a null.
    places = np.zeros(rows, np.uint32)
    places[ranked] = np.arange(ranked.size).reshape(ranked.shape)
    signals = _vectors(served.signals.reshape(ranked.size, -1))
    columns["pair_signals"] = signals.gather(_where(is_ranked, pl.Series(places)))
    if served.true_click is not None and served.true_conversion is not None:
        columns[truth_column("click")] = served.true_click.ravel()
        columns[truth_column("conversion")] = served.true_conversion.ravel()
    return pl.DataFrame({name: columns[name] for name in names})


def _probe_columns(probes: Probes, columns: dict[str, pl.Series]) -> dict[str, pl.Series]:
    """The two columns of probes, and the predictions with theirs where the next stage scored one."""
    probed = pl.Series(probes.probed.ravel())
    rate = pl.select(pl.when(probed).then(pl.lit(probes.rate, pl.Float32))).to_series()
    scored = {
        "pre_ranking_click_prediction": probes.pre_ranking_click,
        "ranking_click_prediction": probes.ranking_click,
        "ranking_conversion_prediction": probes.ranking_conversion,
    }
    filled = {
        name: pl.select(pl.coalesce(columns[name], pl.Series(each.ravel(), nan_to_null=True))).to_series()
        for name, each in scored.items()
    }
    return {"probed": probed, "probe_rate": rate, **filled}


def event_log(served: SimulatedDay, midnight: datetime, as_of: datetime) -> pl.DataFrame:
    """Impressions, clicks and conversions of the day's requests that happened before `as_of`.

    A conversion's value is ten bids; the others have none.

    Args:
        midnight: start of the day, UTC.
        as_of: a moment in UTC; if it is before the day's requests, the log is empty.
    """
    outcomes = served.outcomes
    everything = np.ones_like(outcomes.clicked)
    request_id = np.broadcast_to(_request_id(served)[:, None], everything.shape)
    frames = [
        pl.DataFrame(
            {
                "request_id": request_id[happened],
                "candidate_id": served.ads.ad[served.shown_slots[happened]],
                "event": pl.repeat(event, int(happened.sum()), dtype=pl.String, eager=True),
                "occurred_at": _moments(midnight, moment[happened]),
                "value": pl.Series(value[happened], nan_to_null=True),
            }
        )
        for event, happened, moment, value in (
            ("impression", everything, outcomes.impression_at, _no_value(everything)),
            ("click", outcomes.clicked, outcomes.click_at, _no_value(everything)),
            (
                "conversion",
                outcomes.converted,
                outcomes.conversion_at,
                CONVERSION_VALUE * served.ads.bid[served.shown_slots],
            ),
        )
    ]
    events = pl.concat(frames).filter(pl.col("occurred_at") < as_of)
    return events.sort(*KEYS, "occurred_at", "event")


def midnight_of(day: date) -> datetime:
    """The start of a UTC day."""
    return datetime.combine(day, time(), tzinfo=UTC)


def _request_id(served: SimulatedDay) -> np.ndarray:
    return served.day * REQUESTS_A_DAY + served.requests.number


def _moments(midnight: datetime, microsecond: np.ndarray) -> pl.Series:
    start = int(midnight.timestamp()) * 1_000_000
    return pl.Series(start + microsecond).cast(pl.Datetime("us", "UTC"))


def _at(places: np.ndarray, values: np.ndarray | np.float32, rows: int) -> pl.Series:
    """Float32 values in some rows (places or a mask), null in the others."""
    column = np.full(rows, np.nan, dtype=np.float32)
    column[places] = values
    return pl.Series(column, nan_to_null=True)


def _repeated(values: np.ndarray) -> np.ndarray:
    """Each request's row of [R, ...] once for each of its candidates."""
    return np.repeat(values, CANDIDATES, axis=0)


def _where(mask: np.ndarray, values: pl.Series) -> pl.Series:
    """The values of some rows, null in the others."""
    return pl.select(pl.when(pl.Series(mask)).then(values)).to_series()


def _vectors(values: np.ndarray) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values), dtype=pl.Array(pl.Float32, values.shape[1]))


def _no_value(like: np.ndarray) -> np.ndarray:
    return np.full(like.shape, np.nan, dtype=np.float32)
