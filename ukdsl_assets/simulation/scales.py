"""The sizes of simulated days, and how production trains at each."""

from dataclasses import dataclass

# Unlogged days before the first one, at whose end the models have left their random start behind.
WARM_UP_DAYS = 12


@dataclass(frozen=True)
class Scale:
    """Requests of a logged and of a warm-up day, and the training of the production models.

    With the 3,000 impressions of a small day models learn little, so its warm-up is larger than its days.
    """

    requests: int
    warm_up_requests: int
    batch_requests: int
    learning_rate: float

    def requests_of(self, day: int) -> int:
        """How many requests a day has; warm-up days are negative."""
        return self.requests if day >= 0 else self.warm_up_requests


SCALES: dict[str, Scale] = {
    "small": Scale(requests=500, warm_up_requests=4_000, batch_requests=32, learning_rate=1e-3),
    "default": Scale(requests=10_000, warm_up_requests=10_000, batch_requests=64, learning_rate=1e-3),
    "large": Scale(requests=40_000, warm_up_requests=40_000, batch_requests=128, learning_rate=1e-3),
}
