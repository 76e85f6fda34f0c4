"""Heat maps of domains."""

import numpy as np
import pytest
from matplotlib import colormaps

from urbancross_mm.visualization import draw_domain_matrix
from urbancross_mm.visualization.domain_matrix import _common_scale, _readable


def colors(sheet: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, sheet.reshape(-1, 3).tolist()))


def viridis(position: float) -> tuple[int, ...]:
    return tuple(colormaps['viridis'](position, bytes=True)[:3])


def texts_of(values: np.ndarray) -> list[list[str]]:
    return [[f'{value:.1f} ± 0.1' for value in row] for row in values]


def test_panels_share_one_scale() -> None:
    low, high = np.full((2, 2), 10.0), np.full((2, 2), 30.0)
    sheet = draw_domain_matrix(
        {'low': low, 'high': high}, {'low': texts_of(low), 'high': texts_of(high)}, ['a', 'b'], 'mR'
    )
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and sheet.shape[2] == 3
    third = sheet.shape[1] // 3
    left, right = sheet[:, :third], sheet[:, third:]
    assert (left == viridis(0.0)).all(-1).sum() > 1000 < (right == viridis(1.0)).all(-1).sum()
    assert (left == viridis(1.0)).all(-1).sum() == 0


def test_what_is_no_number_is_gray() -> None:
    values = np.array([[1.0, np.nan], [np.nan, 2.0]])
    sheet = draw_domain_matrix({'m': values}, {'m': [['1', 'failed'], ['-', '2']]}, ['a', 'b'])
    assert (sheet == 224).all(-1).sum() > 1000


def test_many_panels_and_domains_get_rows() -> None:
    values = np.arange(25.0).reshape(5, 5)
    names = [f'method {n}' for n in range(4)]
    one = draw_domain_matrix({'m': values}, {'m': texts_of(values)}, list('abcde'))
    four = draw_domain_matrix(
        dict.fromkeys(names, values), dict.fromkeys(names, texts_of(values)), list('abcde')
    )
    assert four.shape[0] == pytest.approx(2 * one.shape[0], abs=2)
    assert four.shape[1] > 2 * one.shape[1]


@pytest.mark.parametrize('values', [np.full((2, 2), np.nan), np.full((2, 2), 5.0)])
def test_one_value_or_none_is_drawn(values: np.ndarray) -> None:
    sheet = draw_domain_matrix({'m': values}, {'m': texts_of(values)}, ['a', 'b'])
    assert len(colors(sheet)) > 10


def test_text_is_readable_on_every_color() -> None:
    scale = _common_scale({'m': np.array([[0.0, 1.0]])})
    assert _readable(scale, 0.0) == 'white' and _readable(scale, 1.0) == 'black'


@pytest.mark.parametrize(
    ('panels', 'texts', 'domains'),
    [
        ({}, {}, ['a']),
        ({'m': np.zeros((0, 0))}, {'m': []}, []),
        ({'m': np.zeros((2, 3))}, {'m': [['', '']] * 2}, ['a', 'b']),
        ({'m': np.zeros((2, 2))}, {'m': [['']] * 2}, ['a', 'b']),
        ({'m': np.zeros((2, 2))}, {}, ['a', 'b']),
    ],
)
def test_what_does_not_fit(panels: dict, texts: dict, domains: list[str]) -> None:
    with pytest.raises(ValueError, match='nothing to draw|needs 2 x 2'):
        draw_domain_matrix(panels, texts, domains)
