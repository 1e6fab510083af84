"""Exact permutation importance of any predictor and of students, with errors over requests; see `importance.py`.

The plain way is to predict each permuted frame; the compiled ways of `trees/` and `network/` give the same. Clusters,
rankings and choices from the scores belong to `selection/rules` and `selection/choice.py`.
"""
