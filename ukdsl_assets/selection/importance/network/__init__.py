"""Importance of `mlp` and `two_tower`, compiled: the first layer is computed once, then for each group what it changes.

Here are the layout that the kernel reads, the kernel, and the function that runs it. Other networks are predicted anew
by `selection/importance/any_predictor.py`; how a network predicts is in `learning/networks`.
"""
