"""Experiments of two arms: who is in which arm, how long it must run, and what it found, with errors that hold.

Sums by visitor come in, figures and verdicts go out; files of pages are read by `logs/visitor_days.py`, and what a
person sees is `reports/experiment.py`. What a policy would earn that nobody has served yet is no experiment.
"""
