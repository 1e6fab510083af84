"""Boosted trees that are trained: their text read once to flat arrays, values to codes, rows to predictions.

How trees are trained is in `learning/teachers/` and `learning/students/`; which features matter, in
`selection/importance/trees/`.
"""
