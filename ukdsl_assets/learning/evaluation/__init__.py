"""The tables evaluation and calibration_by_group of all arms and heads, from sums over shards, and the gates on them.

Predictions come in, and it neither loads nor runs a model. Formulas of single figures are in `learning/metrics`; the
teachers' own gates are in `learning/teachers`, and how a table is shown to people in `reports/`.
"""
