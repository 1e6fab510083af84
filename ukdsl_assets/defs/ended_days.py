"""Days of a cascade that has ended, in the web server: Dagster looks for the newest ones at today, past their end.

So the plots over partitions of an asset whose days ended more than 120 days ago are empty in Dagster 1.13: its
`get_paginated_partition_keys` counts backwards from now and does not heed `end_date`.
"""

from datetime import UTC, datetime
from functools import wraps
from typing import Any

from dagster._core.definitions.partitions.context import PartitionLoadingContext
from dagster._core.definitions.partitions.definition import TimeWindowPartitionsDefinition


def count_days_back_from_their_end() -> None:
    """In this process pages of partition keys end with the last day of a definition that has one; doing it twice is
    doing it once."""
    ours = "_counts_from_the_end"
    original = TimeWindowPartitionsDefinition.get_paginated_partition_keys
    if hasattr(original, ours):
        return

    @wraps(original)
    def paginated(
        self: TimeWindowPartitionsDefinition, context: PartitionLoadingContext, *args: Any, **more: Any
    ) -> Any:
        if self.end_timestamp is not None and self.end_timestamp < context.effective_dt.timestamp():
            context = context.updated(datetime.fromtimestamp(self.end_timestamp, UTC), None)
        return original(self, context, *args, **more)

    setattr(paginated, ours, True)
    TimeWindowPartitionsDefinition.get_paginated_partition_keys = paginated  # type: ignore[method-assign]
