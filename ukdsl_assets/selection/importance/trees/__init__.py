"""Importance of LightGBM's trees, compiled: all features in one pass over the trees, by masks of the leaves in reach.

Here are the layout that the kernel reads, the kernel, and the function that runs it. Trees and the codes of values are
read by `learning/trees/`, which predicts; trees that cannot be laid out are predicted anew by
`selection/importance/any_predictor.py`.
"""
