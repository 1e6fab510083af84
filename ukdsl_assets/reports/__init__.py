"""A day for people: the HTML report, its figures, and the tables that the terminal and the UI print.

What is shown is read back from the lake, not measured anew, and no table is written: a new figure of a day begins in
`learning/evaluation`. Results of studies over many seeds are printed by `evidence/`.
"""
