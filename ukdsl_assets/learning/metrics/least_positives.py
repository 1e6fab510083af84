"""How many positive labels a verdict or a fit takes. Of n of them a rate is known to about 1 / sqrt(n).

Four decisions, four numbers: what blocks must be surer than what is only told, and a fit moves every prediction.
"""

# A teacher's calibration may block from here on: 10% either way, against bounds no narrower than 0.7 to 1.4. With
# fewer the gate only tells.
TO_BLOCK_A_TEACHER = 100
# A foundation teacher's line per task is fitted to a tenth of the requests: with fewer labels of either kind (18%
# either way) its two numbers are chance, and the network's own predictions stay as they are.
TO_CALIBRATE_A_NETWORK = 30
# A teacher of another cascade is held against a constant, by a bootstrap over requests, and may be recalibrated: below
# 22% either way neither says anything. Its surfaces are small, so that more would mean never.
TO_JUDGE_A_FOREIGN_TEACHER = 20
# A student is not released on fewer: neither a figure nor its standard error means anything (32% either way).
TO_RELEASE = 10
