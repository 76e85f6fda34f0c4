"""Many windows of one file, and all of it in little, are what single readings give."""

from pathlib import Path

import numpy as np
import pytest

from tests.curation.stages.test_tile_stage import noise, write_raster
from urbancross_mm.geo.raster_reading import cells_with_data, read_overview, read_windows
from urbancross_mm.geo.rasters import Raster

RGB, FULL = (1, 2, 3), (0.0, 255.0)


def holes(path: Path, dtype: str = 'uint8', **profile: object) -> Raster:
    pixels = noise(70, 90).astype(dtype)
    pixels[:, :20, :33] = np.nan if dtype == 'float32' else 0
    write_raster(path, pixels, **profile)
    return Raster.open(path)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
def test_windows_are_those_read_one_by_one(tmp_path: Path, dtype: str) -> None:
    raster = holes(tmp_path / 'a.tif', dtype, nodata=None if dtype == 'float32' else 0)
    windows = [(0, 0, 40, 30), (50, 40, 40, 30), (10, 10, 1, 1)]
    for window, (image, known) in zip(windows, read_windows(raster, windows, RGB, FULL)):
        expected, share, _ = raster.read(window, RGB, FULL)
        assert np.array_equal(image, expected) and known.mean() == share
    assert share == 0


def test_an_error_in_between_is_not_that_of_the_raster(tmp_path: Path) -> None:
    raster = holes(tmp_path / 'a.tif')
    with pytest.raises(KeyError, match='mine'):
        for _ in read_windows(raster, [(0, 0, 9, 9)], RGB, FULL):
            raise KeyError('mine')
    with pytest.raises(ValueError, match='no band 4'):
        next(read_windows(raster, [(0, 0, 9, 9)], (4,), FULL))


@pytest.mark.parametrize('cell', [4, 7, 64, 100])
@pytest.mark.parametrize('kind', ['nodata', 'nan', 'mask', 'all'])
def test_cells_with_data(
    tmp_path: Path, cell: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rasterio

    monkeypatch.setattr('urbancross_mm.geo.raster_reading._BLOCK', 21)
    raster = holes(
        tmp_path / 'a.tif',
        'float32' if kind == 'nan' else 'uint8',
        nodata=0 if kind == 'nodata' else None,
    )
    known = np.ones((70, 90), bool)
    if kind != 'all':
        known[:20, :33] = False
    if kind == 'mask':
        with rasterio.open(tmp_path / 'a.tif', 'r+') as file:
            file.write_mask(known)
    found = cells_with_data(raster, RGB, FULL, cell)
    assert found.shape == (-(-70 // cell), -(-90 // cell))
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            part = known[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
            assert found[row, column] == part.any()


def test_the_overview_is_the_raster_in_little(tmp_path: Path) -> None:
    pixels = np.repeat(np.repeat(noise(16, 32), 8, axis=1), 8, axis=2)
    write_raster(tmp_path / 'a.tif', pixels)
    small = read_overview(Raster.open(tmp_path / 'a.tif'), RGB, FULL, 32)
    assert np.array_equal(small, noise(16, 32).transpose(1, 2, 0))
    assert read_overview(Raster.open(tmp_path / 'a.tif'), RGB, FULL, 999).shape == (128, 256, 3)
    gray = read_overview(Raster.open(tmp_path / 'a.tif'), (2,), FULL, 32)
    assert np.array_equal(gray, np.repeat(small[..., 1:2], 3, axis=2))
