"""What a policy would earn, from what a randomised one showed.

Here: weights, estimators, means with their intervals, the table of a day and its gates; arrays in, values out. Not
here: which rows and checkpoints these are of (`pipeline/off_policy.py`); nothing here reads the lake.
"""
