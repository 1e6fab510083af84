"""The mean of both importances (paper, table 2)."""

from ukdsl_assets.selection.rules.scores import Budget, Scores


def average_importance(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """Features by the sum of their two scores; both are changes of a normalized entropy, so they can be added."""
    return budget.taken(scores, scores.ranking(scores.impression + scores.consideration))
