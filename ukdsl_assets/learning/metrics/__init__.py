"""Figures and their errors on arrays: calibration, cross entropy, NE, AUC, Platt lines, weighted rows, the bootstrap.

Each is a formula with its source, and sums are added in an order that no processor changes (`sums.py`). Nothing here
knows a student, a domain or a table: which rows and labels a figure is of is for `learning/evaluation` to say.
"""
