"""Rules that choose features from importance on both sets, one a module; all have the signature of `SelectionRule`.

A rule is a pure function of `Scores` and `Budget`, and what several of them need stands beside them (clusters, the
knapsack). Measuring importance belongs to `selection/importance`, seeing to both sides of two towers and writing the
table to `selection/choice.py`. Ties are broken by name. A feature whose score is NaN comes after all others.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ukdsl_assets.selection.rules.average_importance import average_importance
from ukdsl_assets.selection.rules.average_rank import average_rank
from ukdsl_assets.selection.rules.consideration import consideration
from ukdsl_assets.selection.rules.cost_aware import cost_aware
from ukdsl_assets.selection.rules.grouped_permutation import grouped_permutation
from ukdsl_assets.selection.rules.impression import impression
from ukdsl_assets.selection.rules.intersection import intersection, natural_intersection
from ukdsl_assets.selection.rules.scores import Budget, Scores
from ukdsl_assets.selection.rules.union import natural_union, union

# Names of the chosen features, first choice first.
SelectionRule = Callable[[Scores, Budget], tuple[str, ...]]

# In the order of the paper's table 2, then what is beyond it. All keep to the budget.
RULES: Mapping[str, SelectionRule] = MappingProxyType(
    {
        "impression": impression,
        "consideration": consideration,
        "average_rank": average_rank,
        "average_importance": average_importance,
        "intersection": intersection,
        "union": union,
        "grouped_permutation": grouped_permutation,
        "cost_aware": cost_aware,
    }
)
# Those whose size follows from the scores: fewer features than the budget allows, or more. All others fill it.
NATURAL: Mapping[str, SelectionRule] = MappingProxyType({"intersection": natural_intersection, "union": natural_union})
