"""Batches for the statistics of BatchNorm."""

import pytest

from urbancross_mm.utils.batch_norm import equal_batches


@pytest.mark.parametrize('most', [1, 2, 3, 64])
@pytest.mark.parametrize('count', [1, 2, 3, 10, 64, 65, 129, 4097])
def test_batches_are_equal_and_none_is_of_one_item(count: int, most: int) -> None:
    batches = equal_batches(count, most)
    assert [row for batch in batches for row in batch] == list(range(count))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(count, 2) and max(sizes) <= max(most, 3)
