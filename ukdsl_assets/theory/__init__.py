"""Section 3 of the paper in numbers: order statistics, one and two stages in closed form, by quadrature and as drawn.

Its claims are judged on its own tables. It knows no cascade, log or model; the assets and the figure are
`defs/theory.py` and `reports/theory_figure.py`.
"""
