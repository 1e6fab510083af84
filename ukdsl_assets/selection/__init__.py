"""Semi-supervised feature selection (UKDSL paper, 4.2): importance on both data sets, rules that combine it, gates.

Frames and trained students come in, choices and tables go out; which rows a day measures on, and who else reads a
feature, is looked up in `pipeline/selection.py`. It never reads the lake.
"""
