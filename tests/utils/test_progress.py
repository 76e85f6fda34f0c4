"""Work under a progress bar."""

from __future__ import annotations

import pytest

from urbancross_mm.utils.progress import map_tracked, track


def test_items_pass_unchanged(capsys):
    assert list(track(iter('abc'), 'letters')) == ['a', 'b', 'c']
    assert capsys.readouterr().err == ''  # short work draws no bar


@pytest.mark.parametrize('workers', [1, 3])
def test_results_keep_the_order_of_the_items(workers):
    assert list(map_tracked(lambda n: n * n, range(50), 'squares', workers)) == [
        n * n for n in range(50)
    ]


@pytest.mark.parametrize('workers', [1, 3])
def test_the_first_exception_ends_the_work(workers):
    done = []

    def work(number):
        if number == 3:
            raise ValueError('three')
        done.append(number)
        return number

    with pytest.raises(ValueError, match='three'):
        list(map_tracked(work, range(10_000), 'numbers', workers))
    assert len(done) < 10_000


def test_no_worker_is_refused():
    with pytest.raises(ValueError, match='at least 1, got 0'):
        list(map_tracked(str, [1], 'numbers', 0))
