"""How many positive labels, and of what else, a verdict or a fit takes. Of n a rate is known to about 1 / sqrt(n).

Each decision has its number: what blocks must be surer than what is only told, and a fit moves every prediction.
Where rows have weights, n is their effective number (`weighted.py: effective_number`), not their count.
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
# A teacher is held against a constant before a release, by errors over requests; trailing days are pooled until it has
# so many that a gain of a few per cent in NE is seen.
TO_COMPARE_WITH_A_CONSTANT, ENOUGH_TO_COMPARE = 20, 1000
# A teacher's agreement with explored rows has an interval; below (22% either way) this is too short.
TO_AUDIT_ON_EXPLORATION = 20
# A correction moves every label of a teacher. With 50 the shift's error is 0.14, so that a shrunken shift beyond 0.3
# takes 2.5 errors: a teacher that is right gets one in fewer than one window in a hundred, however many positive
# labels are expected (tests/learning/teachers/test_correction_floor.py). With 40 it is one in eighty.
TO_CORRECT_A_TEACHER = 50
# Requests that a weighted mean takes: of n effective ones none has more than 1 / sqrt(n) of the weight, here a tenth.
REQUESTS_TO_WEIGH = 100
# A student is not released on fewer: neither a figure nor its standard error means anything (32% either way).
TO_RELEASE = 10
# Nor on fewer rows, shown or considered: of n the standard error that the gates leave two of is itself known to about
# 1 / sqrt(2 n), here 13%, and where it is wide no gate refuses anything.
ROWS_TO_RELEASE = 30
# Nor on rows of fewer requests, which are not independent: the error of a change is over requests, and of n is known to
# about 1 / sqrt(2 n), here 13%.
REQUESTS_TO_RELEASE = 30
