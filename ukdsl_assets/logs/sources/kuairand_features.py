"""Features of KuaiRand-Pure that were known when the request was made: nothing of the same day's outcomes.

The month-long statistics of item_features.parquet are later than the impressions, and the activity degree and the
follow, fans and friend counts of users are of unknown date; both are left out.
"""

import polars as pl

BEIJING = "Asia/Shanghai"
UNKNOWN = -1
ENCODED = [f"onehot_feat{index}" for index in range(18)]
# A rate is the mean of what was seen and of this many impressions at the rate of all.
PRIOR_IMPRESSIONS = 20.0


def add_features(
    candidates: pl.DataFrame, earlier: pl.DataFrame, users: pl.DataFrame, videos: pl.DataFrame
) -> pl.DataFrame:
    """Add every feature of kuairand.yaml to the candidates of one day; rows keep their order.

    Args:
        candidates: user_id, video_id, tab (Int64) and requested_at (UTC).
        earlier: user_id, video_id, is_click, long_view of the impressions of earlier days; may be empty, in which case
            counts are 0 and rates 0.5.
        users: one row per user, as published; unknown codes become -1.
        videos: one row per video, as published; an unknown duration becomes 0 (the shortest known has log 5 s = 1.6).
    """
    video_features = _videos(videos)
    tagged = earlier.join(video_features.select("video_id", "tag"), on="video_id", how="left")
    parts = (
        (_users(users), ["user_id"]),
        (video_features, ["video_id"]),
        (_history(tagged, ["user_id"], "user"), ["user_id"]),
        (_history(tagged, ["user_id", "tag"], "user_tag"), ["user_id", "tag"]),
        (_history(tagged, ["video_id"], "video"), ["video_id"]),
    )
    rows = candidates
    for part, keys in parts:
        rows = rows.join(part, on=keys, how="left", maintain_order="left", validate="m:1")
    local = pl.col("requested_at").dt.convert_time_zone(BEIJING)
    clicks, long_views = (_prior_rate(earlier, outcome) for outcome in ("is_click", "long_view"))
    return rows.with_columns(
        pl.col("^.*_impressions$").fill_null(0.0),
        pl.col("^.*_click_rate$").fill_null(clicks),
        pl.col("^.*_long_view_rate$").fill_null(long_views),
        hour=local.dt.hour().cast(pl.Int64),
        weekday=local.dt.weekday().cast(pl.Int64),
        age_days=(local.dt.date() - pl.col("uploaded")).dt.total_days().cast(pl.Float32),
    )


def _users(users: pl.DataFrame) -> pl.DataFrame:
    encoded = pl.col(ENCODED).cast(pl.Int64).fill_null(UNKNOWN)
    return users.select("user_id", "register_days_range", encoded)


def _videos(videos: pl.DataFrame) -> pl.DataFrame:
    return videos.select(
        "video_id",
        "author_id",
        "video_type",
        "upload_type",
        tag=pl.col("tag").str.split(",").list.first().cast(pl.Int64, strict=False).fill_null(UNKNOWN),
        music_type=pl.col("music_type").cast(pl.Int64).fill_null(UNKNOWN),
        log_duration=(pl.col("video_duration") / 1000).log().fill_null(0.0),
        aspect_ratio=pl.col("server_width") / pl.col("server_height"),
        uploaded=pl.col("upload_dt").str.to_date(),
    )


def _history(earlier: pl.DataFrame, keys: list[str], prefix: str) -> pl.DataFrame:
    """log(1 + impressions) and smoothed rates of each key's impressions."""
    rates = {
        f"{prefix}_{name}_rate": (pl.col(outcome).sum() + PRIOR_IMPRESSIONS * _prior_rate(earlier, outcome))
        / (pl.len() + PRIOR_IMPRESSIONS)
        for name, outcome in (("click", "is_click"), ("long_view", "long_view"))
    }
    return earlier.group_by(keys).agg(pl.len().log1p().alias(f"{prefix}_impressions"), **rates)


def _prior_rate(earlier: pl.DataFrame, outcome: str) -> float:
    """Rate of all earlier impressions (Laplace's rule of succession, so that it is defined without any)."""
    return (int(earlier[outcome].sum()) + 1) / (earlier.height + 2)
