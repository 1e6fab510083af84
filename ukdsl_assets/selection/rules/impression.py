"""The usual way: what matters among the shown."""

from ukdsl_assets.selection.rules.scores import Budget, Scores


def impression(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """Features by their importance on shown rows, best first."""
    return budget.taken(scores, scores.ranking(scores.impression))
