"""Which scores are good enough."""

import math

from urbancross_mm.curation.stages.filters import at_least, top_share

NAMES = [f'{letter}.jpg' for letter in 'jihgfedcba']


def test_the_best_part_is_exactly_that_part() -> None:
    scores = [i / 10 for i in range(10)]
    assert top_share(scores, NAMES, 0.3) == ([False] * 7 + [True] * 3, 0.7)
    for number in range(1, 41):
        flat = [float(i) for i in range(number)]
        for tenths in range(1, 11):
            kept, _ = top_share(flat, [str(i) for i in range(number)], tenths / 10)
            assert sum(kept) == -(-tenths * number // 10)


def test_equal_scores_are_taken_by_name() -> None:
    kept, bound = top_share([0.5] * 10, NAMES, 0.3)
    assert [name for name, good in zip(NAMES, kept) if good] == ['c.jpg', 'b.jpg', 'a.jpg']
    assert bound == 0.5


def test_what_is_no_number_is_no_score() -> None:
    kept, bound = top_share([math.nan, 0.1, math.nan, 0.2], NAMES[:4], 0.5)
    assert kept == [False, False, False, True] and bound == 0.2
    kept, bound = top_share([math.nan], NAMES[:1], 1)
    assert kept == [False] and math.isnan(bound)
    assert top_share([], [], 0.3)[0] == []
    assert at_least([0.2, 0.25, math.nan], 0.25) == [False, True, False]
