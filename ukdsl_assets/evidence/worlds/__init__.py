"""What studies measure on: days of the simulated cascades without a lake, a synthetic world of features, and the arms.

No claim, number of seeds or table of results belongs here, they are the studies'. Worlds that logs are made of too are
in `simulation/`.
"""
