"""World files."""

from __future__ import annotations

from pathlib import Path

import pytest

from urbancross_mm.geo.positions import bounds_of_world_file, world_file_of

TEXT = '0.5\n0\n0\n-0.25\n10.25\n49.875\n'


@pytest.mark.parametrize(
    'text',
    [
        TEXT,
        '\ufeff' + TEXT,
        TEXT.replace('\n', '\r\n'),
        TEXT.strip(),
        '5e-1 0.0 0 -.25 10.25 49.875',
    ],
)
def test_six_numbers(text: str) -> None:
    assert bounds_of_world_file(text, 4, 8) == [10, 48, 12, 50]


@pytest.mark.parametrize(
    'text',
    [
        '',
        '0.5\n0\n0\n-0.25\n10',
        TEXT + '7',
        TEXT.replace('0.5', '0,5'),
        TEXT.replace('0.5', 'nan'),
        TEXT.replace('10.25', 'inf'),
    ],
)
def test_other_texts_are_no_world_file(text: str) -> None:
    with pytest.raises(ValueError, match='six numbers'):
        bounds_of_world_file(text, 4, 8)


def test_of_several_world_files_the_order_decides(tmp_path: Path) -> None:
    order = ['x.jgw', 'x.jpgw', 'x.wld']
    for name in order[::-1]:
        (tmp_path / name).write_text(TEXT)
        assert world_file_of(tmp_path / 'x.jpg') == tmp_path / name
