"""Until when a day knows what happened."""

from datetime import UTC, date, datetime, time, timedelta

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.settings import Settings

# A simulated day's logs are read at that time of the next day, when the schedule runs.
CLOCK = timedelta(days=1, hours=5)


def known_until(cascade: Cascade, settings: Settings, day: date) -> datetime:
    """The moment (UTC) until which a reading of the day's event log knows what happened.

    UKDSL_AS_OF where it is set, else 05:00 of the next day for simulated logs, and now for all others.
    """
    if settings.as_of is not None:
        return settings.as_of.astimezone(UTC)
    if cascade.source.kind in ("simulated", "simulated_item_page"):
        return datetime.combine(day, time(), tzinfo=UTC) + CLOCK
    return datetime.now(UTC)
