"""Rasters that are not what they seem."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.curation.stages.test_tile_stage import (
    noise,
    outcomes,
    workspace,
    write_image,
    write_raster,
)
from urbancross_mm.curation import Workspace, run_stage
from urbancross_mm.curation.stages.tile_stage import TileStage
from urbancross_mm.geo.raster_files import is_geotiff

__all__ = ['workspace']  # a fixture


def test_a_raster_of_one_band_is_gray(workspace: Workspace) -> None:
    gray = noise(32, 32)[:1]
    write_raster(workspace.source / 'a.tif', gray)
    assert [outcome.status for outcome in outcomes(workspace, size=32).values()] == ['kept']
    with Image.open(next((workspace.out / 'images').rglob('*.png'))) as result:
        assert np.array_equal(np.asarray(result), np.repeat(gray.transpose(1, 2, 0), 3, axis=2))


@pytest.mark.parametrize('dtype', ['uint8', 'uint16'])
def test_bands_that_are_not_there_have_one_reason(workspace: Workspace, dtype: str) -> None:
    write_raster(workspace.source / 'a.tif', noise(32, 64)[:1].astype(dtype))
    results = outcomes(workspace, size=32, bands=(1, 1, 3))
    assert {(outcome.status, outcome.reason) for outcome in results.values()} == {
        ('dropped', 'the raster has no band 3, the last one is 1')
    }
    results = outcomes(workspace, size=32, bands=(4,))
    assert {outcome.reason for outcome in results.values()} == {
        'the raster has no band 4, the last one is 1'
    }


def test_a_raster_torn_behind_its_header_has_one_reason(workspace: Workspace) -> None:
    for name in ('a.tif', 'b.tif'):
        write_raster(workspace.source / name, noise(64, 64))
        content = (workspace.source / name).read_bytes()
        (workspace.source / name).write_bytes(content[: len(content) // 3])
    results = outcomes(workspace, size=32)
    assert {(outcome.status, outcome.reason) for outcome in results.values()} == {
        ('dropped', 'the raster cannot be read to its end')
    }


def test_only_what_needs_rasterio_asks_for_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {
        'a': b'II*\0nothing',
        'b': b'',
        'c': b'II*\0\xff\xff\xff\xff',
        'd': b'II*\0\x08\0\0\0\x09\0torn',
        # A tag of 16 GB.
        'e': b'II*\0\x08\0\0\0\x01\0' + struct.pack('<HHII', 33550, 12, 1 << 31, 8),
    }.items():
        (workspace.source / f'{name}.tif').write_bytes(content)
        assert not is_geotiff(workspace.source / f'{name}.tif')
    write_image(workspace.source / 'plain.tif')

    def none(*_: object) -> None:
        raise ImportError('rasterio')

    monkeypatch.setattr('urbancross_mm.curation.stages.tile_stage.rasterio', none)
    results = outcomes(workspace)
    assert {name: outcome.status for name, outcome in results.items()} == {
        'a.tif': 'dropped',
        'b.tif': 'dropped',
        'c.tif': 'dropped',
        'd.tif': 'dropped',
        'e.tif': 'dropped',
        'plain.tif': 'kept',
    }
    write_raster(workspace.source / 'geo.tif', noise(32, 32))
    with pytest.raises(ImportError, match='rasterio'):
        TileStage().check(workspace)


@pytest.mark.parametrize('profile', [dict(), dict(BIGTIFF='YES'), dict(ENDIANNESS='BIG')])
def test_geotiffs_are_known_by_their_tags(tmp_path: Path, profile: dict) -> None:
    # Thirteen bands of 16 bits: Pillow does not open it.
    write_raster(tmp_path / 'a.tif', np.ones((13, 8, 8), np.uint16), **profile)
    assert is_geotiff(tmp_path / 'a.tif')
    write_image(tmp_path / 'b.tif')
    assert not is_geotiff(tmp_path / 'b.tif')
    write_image(tmp_path / 'c.png')
    assert not is_geotiff(tmp_path / 'c.png') and not is_geotiff(tmp_path / 'none.tif')


def test_a_bigtiff_that_pillow_cannot_open_is_a_raster(tmp_path: Path) -> None:
    for order, mark in (('<', b'II'), ('>', b'MM')):
        content = mark + struct.pack(f'{order}HHHQ', 43, 8, 0, 16) + struct.pack(f'{order}Q', 0)
        (tmp_path / 'a.tif').write_bytes(content)
        assert is_geotiff(tmp_path / 'a.tif')


@pytest.mark.parametrize('seed', [0, 2, 3])
def test_a_damaged_raster_is_read_or_dropped_by_name(workspace: Workspace, seed: int) -> None:
    """Header, keys of the coordinates and blocks, from discovery to the tile."""
    rng = np.random.default_rng(seed)
    write_raster(workspace.source / 'a.tif', noise(32, 32), compress='lzw')
    content = (workspace.source / 'a.tif').read_bytes()
    for number in range(12):
        changed = bytearray(content)
        for spot in rng.integers(0, 700, 3):
            changed[spot] = rng.integers(256)
        (workspace.source / 'a.tif').write_bytes(changed)
        out = Workspace(workspace.source, workspace.out / str(number))
        results = outcomes(out, size=64)
        assert all(outcome.status == 'kept' or outcome.reason for outcome in results.values())
        assert all(outcome.status in ('kept', 'dropped') for outcome in results.values())


def test_damaged_coordinates_cost_no_pixels(workspace: Workspace) -> None:
    pixels = noise(32, 32)
    write_raster(workspace.source / 'a.tif', pixels)
    content = (workspace.source / 'a.tif').read_bytes()
    texts = struct.pack('<HH', 34737, 2)  # what names the CRS
    assert content.count(texts) == 1
    (workspace.source / 'a.tif').write_bytes(content.replace(texts, struct.pack('<HH', 34738, 2)))
    (result,) = outcomes(workspace, size=32).values()
    assert result.status == 'kept'
    with Image.open(next((workspace.out / 'images').rglob('*.png'))) as tile:
        assert np.array_equal(np.asarray(tile), pixels.transpose(1, 2, 0))


def test_a_lost_raster_is_tried_again(workspace: Workspace) -> None:
    write_raster(workspace.source / 'a.tif', noise(32, 32))
    stage = TileStage(size=32)
    images = stage.discover(workspace)
    (workspace.source / 'a.tif').rename(workspace.source / 'b')
    _, report = run_stage(stage, images, workspace)
    assert report.counts['failed'] == 1
    (workspace.source / 'b').rename(workspace.source / 'a.tif')
    _, report = run_stage(stage, images, workspace)
    assert report.counts['kept'] == report.made == 1


@pytest.mark.parametrize('name', ['a.tif.msk', 'a.tif.ovr', 'a.tif.aux.xml'])
def test_a_file_beside_a_raster_must_not_lead_elsewhere(
    workspace: Workspace, tmp_path: Path, name: str
) -> None:
    """GDAL takes masks and overviews in any format, also one that names other files."""
    write_raster(workspace.source / 'a.tif', noise(64, 64))
    write_raster(tmp_path / 'secret.tif', np.zeros((1, 64, 64), np.uint8))
    virtual = (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2'
        '</MDI></Metadata><VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>'
        f'{tmp_path}/secret.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    if name.endswith('.xml'):
        (tmp_path / 'secret.vrt').write_text(virtual)
        virtual = (
            '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">'
            f'{tmp_path}/secret.vrt</MDI></Metadata></PAMDataset>'
        )
    (workspace.source / name).write_text(virtual)
    results = outcomes(workspace, size=32)
    assert {outcome.reason for outcome in results.values()} == {
        'a file beside the raster leads to files in other folders'
    }


def test_a_mask_beside_a_raster_still_counts(workspace: Workspace) -> None:
    rasterio = pytest.importorskip('rasterio')
    write_raster(workspace.source / 'a.tif', noise(32, 32))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(workspace.source / 'a.tif', 'r+') as file,
    ):
        file.write_mask(np.arange(32)[:, None].repeat(32, axis=1) >= 8)
    assert (workspace.source / 'a.tif.msk').is_file()
    assert [outcome.status for outcome in outcomes(workspace, size=32).values()] == ['kept']
    with Image.open(next((workspace.out / 'images').rglob('*.png'))) as result:
        assert not np.asarray(result)[:8].any() and np.asarray(result)[8:].any()


@pytest.mark.filterwarnings('error::RuntimeWarning')
def test_values_beyond_all_measure_are_refused(workspace: Workspace) -> None:
    values = np.where(noise(32, 32)[:1] > 128, 1e308, -1e308)
    write_raster(workspace.source / 'a.tif', values)
    assert [outcome.reason for outcome in outcomes(workspace, size=32).values()] == [
        'the raster has values that are no measurements, such as 1e+308'
    ]
    # One of them does no harm.
    values = noise(32, 32)[:1].astype(np.float64)
    values[0, 0, 0] = 1e308
    write_raster(workspace.source / 'a.tif', values)
    assert [outcome.status for outcome in outcomes(workspace, size=32).values()] == ['kept']
