"""The slate of the highest scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.off_policy.policies import top


def test_the_highest_scores_come_first_and_of_equal_ones_the_earlier_row() -> None:
    score = np.array([0.1, 0.9, 0.9, 0.5, 0.2])
    assert top(score, np.zeros(5, np.int64), np.array([3])).tolist() == [0, 1, 2, 3, 0]


def test_a_score_that_is_missing_comes_last_and_fewer_candidates_than_slots_all_come() -> None:
    score = np.array([np.nan, 0.1, 0.3])
    assert top(score, np.array([0, 0, 1]), np.array([4, 4])).tolist() == [2, 1, 1]
    assert top(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=30), st.integers(1, 4))
def test_each_request_fills_its_slots_once_with_its_own_best(rows: list[tuple[int, float]], slots: int) -> None:
    request, score = np.array([each[0] for each in rows]), np.array([each[1] for each in rows])
    placed = top(score, request, np.full(4, slots))
    for number in range(4):
        of, said = placed[request == number], score[request == number]
        filled = min(slots, len(of))
        assert sorted(of[of > 0]) == list(range(1, filled + 1))
        assert all(said[of == 0] <= said[of > 0].min()) if filled else len(of) == 0
