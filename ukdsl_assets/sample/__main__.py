"""Makes the sample that `ukdsl init` begins with: `python -m ukdsl_assets.sample [--seed 5] [--days 4] [--to FOLDER]`.

Some requests of the simulated ads world's days, from pre-ranking on, with the names and types that a team's logs may
have. Production's models there learn from what was shown, so pre-ranking over-predicts what it hands on.
"""

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.sources.simulated_ads import SimulatedAdsReader

# Of the world's 10,000 requests a day every so manieth is in the sample, so that both files stay below 2 MB.
EVERY = 10
COUNTRIES = ["US", "IN", "BR", "ID", "MX", "JP", "DE", "GB", "FR", "PH"]
COUNTRIES += ["VN", "TR", "TH", "IT", "ES", "PL", "CA", "AU", "NL", "SE"]
DEVICES = ["phone", "tablet", "desktop", "tv"]
PLACEMENTS = ["feed_top", "feed", "feed_end", "story", "search", "detail"]
FORMATS = ["image", "video", "carousel", "text", "collection"]
# So many of a hundred clicks come hours late, at an exponential delay of this mean.
LATE_CLICKS, LATE_HOURS = 4, 12
SIGNIFICANT_DIGITS = 3


def raw_files(days: list[DayOfLogs]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A team's raw files of days of `simulated_ads`: scored candidates, and the click stream in order of time.

    Returns:
        auction_id, item: string; ts_ms: int64, epoch milliseconds, one an auction; prerank_score, never null;
        rank_ctr, null where ranking did not score; price: float32, above 0; won: bool; is_random: bool, of the whole
        auction; p_show: float64, null where not random; geo, device, slot_type, topic, format: string; hour_of_day,
        user_group, age_band: int64. Clicks: auction_id, item: string; ts_ms: int64. Days without rows give empty files.
    """
    scored = pl.concat([each.candidate_log for each in days]).filter(
        pl.col("pre_ranking_click_prediction").is_not_null()
    )
    events = pl.concat([each.event_log for each in days]).filter(pl.col("event") == "click")
    keys = {"auction_id": _auction(), "item": pl.format("ad-{}", "candidate_id")}
    candidates = scored.select(
        **keys,
        ts_ms=pl.col("requested_at").dt.epoch("ms"),
        prerank_score=pl.col("pre_ranking_click_prediction").round_sig_figs(SIGNIFICANT_DIGITS),
        rank_ctr=pl.col("ranking_click_prediction").round_sig_figs(SIGNIFICANT_DIGITS),
        price=pl.col("bid").round_sig_figs(SIGNIFICANT_DIGITS),
        won="shown",
        is_random=pl.col("explored").any().over("request_id"),
        p_show=pl.col("propensity").max().over("request_id").cast(pl.Float64),
        geo=_named("country", COUNTRIES),
        device=_named("device", DEVICES),
        slot_type=_named("placement", PLACEMENTS),
        hour_of_day="hour",
        user_group="user_segment",
        age_band="age_group",
        topic=pl.format("topic-{}", "category"),
        format=_named("format", FORMATS),
    ).sort("ts_ms", "auction_id", "item")
    chance = pl.struct("request_id", "candidate_id").hash(1) % 10_000
    late = -(1 - (chance // 100) / 100).log() * LATE_HOURS * 3_600_000
    delay = pl.when(chance % 100 < LATE_CLICKS).then(late).otherwise(0)
    clicks = events.select(**keys, ts_ms=pl.col("occurred_at").dt.epoch("ms") + delay.cast(pl.Int64))
    return candidates, clicks.sort("ts_ms", "auction_id", "item")


def simulated_days(seed: int, days: int) -> list[DayOfLogs]:
    """Days of the world of a seed, every tenth request of each; takes about a minute for the days before the first."""
    shipped = read_cascade(SHIPPED / "simulated_ads.yaml")
    source = shipped.source.model_copy(update={"seed": seed, "probe_rate": 0.0})
    cascade = shipped.model_copy(update={"source": source, "has_probes": False, "has_truth": False})
    chosen = pl.col("request_id") % EVERY == 0
    with tempfile.TemporaryDirectory() as state:
        as_of = datetime.combine(shipped.first_day + timedelta(days=days + 7), datetime.min.time(), UTC)
        reader = SimulatedAdsReader(cascade, state, "default", as_of=as_of)
        read = (reader.read(shipped.first_day + timedelta(days=index)) for index in range(days))
        return [DayOfLogs(each.candidate_log.filter(chosen), each.event_log.filter(chosen)) for each in read]


def main() -> None:
    """Write both files."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=5, help="of the simulated world")
    options.add_argument("--days", type=int, default=4)
    options.add_argument("--to", type=Path, default=Path(__file__).parent, help="folder of both files")
    chosen = options.parse_args()
    frames = zip(("candidates", "events"), raw_files(simulated_days(chosen.seed, chosen.days)), strict=True)
    for name, frame in frames:
        path = chosen.to / f"{name}.parquet"
        frame.write_parquet(path, compression_level=19, row_group_size=1 << 20)
        print(f"{path}: {frame.height:,} rows, {path.stat().st_size:,} bytes")


def _auction() -> pl.Expr:
    return pl.format("auc-{}", "request_id")


def _named(column: str, names: list[str]) -> pl.Expr:
    return pl.lit(pl.Series(names)).gather(pl.col(column))


if __name__ == "__main__":
    main()
