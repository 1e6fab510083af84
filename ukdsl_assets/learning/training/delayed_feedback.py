"""Labels that keep arriving for days: which of them are final, and what a label that has come already stands for.

A click of long ago has had its time to convert; one of this morning has not, and its label 0 may yet become 1.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade

# Delays of that many closed days are pooled.
DELAY_DAYS = 28


def labels_as_seen_messages(cascade: Cascade, tasks: Iterable[str]) -> dict[str, str]:
    """What to know of a model that learns fresh labels of delayed tasks as they are, under `labels`; empty if none."""
    delayed = [name for name in tasks if cascade.task(name).delayed]
    if not delayed:
        return {}
    message = "as seen, not corrected: labels that are yet to come count as 0, so what it predicts for them is too low"
    return {"labels": f"{', '.join(delayed)}: {message}"}


def newest_closed_day(known_until: datetime, day: date, window: timedelta) -> date:
    """The newest day up to `day` all of whose attribution windows had closed at `known_until` (with a time zone)."""
    return min(day, (known_until - window).date() - timedelta(days=1))


def share_observed(delays: NDArray[np.float64], elapsed: NDArray[np.float64], window: timedelta) -> NDArray[np.float64]:
    """Estimated probability F(elapsed), float64 [rows] in (0, 1], that a label that will be positive already is.

    (1 + delays <= elapsed) / (1 + delays), never 0; 1 once the window has closed, and everywhere without any delays.

    Args:
        delays: seconds from request to event, float [positives], of all positive labels of closed days: those of a day
            whose windows are open are too short, since the long ones are yet to come.
        elapsed: seconds from request to the moment at which labels were read, float [rows].
    """
    share = (1 + np.searchsorted(np.sort(delays), elapsed, side="right")) / (1 + len(delays))
    return np.where(elapsed >= window.total_seconds(), 1.0, share)


def with_label_factor(rows: pl.DataFrame, delays: NDArray[np.float64], window: timedelta) -> pl.DataFrame:
    """The rows with Float32 `label_factor`: 1 / share_observed for labels (`known_until` is not null), 1 for others.

    Let y be the final label, s whether it was seen by now, F(e) = P(s = 1 | y = 1), which depends on the elapsed time e
    alone if delays do not depend on the features. Then E[y s / F(e) | x] = E[y | x]: an importance weight of 1 / F(e)
    on the positives that were seen makes the label unbiased, and with it the cross entropy
    -y' log p - (1 - y') log(1 - p), y' = y s / F(e), which is linear in y'. A seen positive has y' > 1 and so takes
    from the negative side, 1 - y' < 0, what the labels that are yet to come have put there. (Yasui et al., A Feedback
    Shift Correction in Predicting Conversion Rates under Delayed Feedback, WWW 2020, weight both sides by models.)

    Args:
        rows: requested_at and known_until; delays, window: as in `share_observed`.
    """
    elapsed = (rows["known_until"] - rows["requested_at"]).dt.total_microseconds().fill_null(0).to_numpy() / 1e6
    factor = pl.Series((1 / share_observed(delays, elapsed, window)).astype(np.float32))
    return rows.with_columns(
        label_factor=pl.when(pl.col("known_until").is_null()).then(1.0).otherwise(factor).cast(pl.Float32)
    )


def corrected_target(rows: pl.DataFrame) -> NDArray[np.float32]:
    """The targets of the rows, float32 [rows], times their `label_factor` where there is one; may then exceed 1."""
    target = rows["target"].to_numpy().astype(np.float32)
    return target * rows["label_factor"].to_numpy() if "label_factor" in rows.columns else target
