"""Nearest-neighbor matching against loops."""

import math

import pytest
import torch

from urbancross_mm.functional.neighbors import csls, mutual_nearest


@pytest.mark.parametrize('neighbors', [1, 3, 50])
def test_csls_against_a_loop(neighbors: int) -> None:
    scores = torch.rand(6, 4, dtype=torch.float64)
    got = csls(scores, neighbors)
    for i in range(6):
        for j in range(4):
            row = sorted(scores[i].tolist(), reverse=True)[:neighbors]
            column = sorted(scores[:, j].tolist(), reverse=True)[:neighbors]
            crowds = math.fsum(row) / len(row) + math.fsum(column) / len(column)
            assert got[i, j].item() == pytest.approx(2 * scores[i, j].item() - crowds)


@pytest.mark.parametrize('size', [(7, 7), (4, 9), (9, 4), (1, 1)])
def test_mutual_nearest_against_a_loop(size: tuple[int, int]) -> None:
    scores = torch.rand(size)
    expected = [
        (i, j)
        for i in range(size[0])
        for j in range(size[1])
        if scores[i, j] == scores[i].max() and scores[i, j] == scores[:, j].max()
    ]
    result = mutual_nearest(scores)
    assert sorted(zip(result.rows.tolist(), result.columns.tolist())) == expected
    assert result.scores.tolist() == sorted(result.scores.tolist(), reverse=True)
    assert torch.equal(result.scores, scores[result.rows, result.columns])
