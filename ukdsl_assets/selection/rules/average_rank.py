"""The mean of both ranks (paper, table 2)."""

from ukdsl_assets.selection.rules.scores import Budget, Scores


def average_rank(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """Features by the mean of their two ranks; equal scores of one set share a rank."""
    both = scores.ranks(scores.impression) + scores.ranks(scores.consideration)
    return budget.taken(scores, scores.ranking(-both))
