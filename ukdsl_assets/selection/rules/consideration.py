"""What matters among the considered."""

from ukdsl_assets.selection.rules.scores import Budget, Scores


def consideration(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """Features by their importance on considered rows, best first."""
    return budget.taken(scores, scores.ranking(scores.consideration))
