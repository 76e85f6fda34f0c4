"""What the bands of a raster mean: by what the file says of them, not by how many there are."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.curation.stages.test_tile_stage import noise, outcomes, workspace, write_raster
from urbancross_mm.curation import Workspace
from urbancross_mm.geo.rasters import Raster

rasterio = pytest.importorskip('rasterio')

__all__ = ['workspace']  # a fixture
SIDE = 32
WINDOW = (0, 0, SIDE, SIDE)


def values(bands: int, dtype: str = 'uint8') -> np.ndarray:
    return np.random.default_rng(bands).integers(1, 250, (bands, SIDE, SIDE)).astype(dtype)


def name_bands(path: Path, *names: str) -> None:
    with rasterio.open(path, 'r+') as file:
        file.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]


def read(path: Path, bands: tuple[int, ...] | None = None) -> tuple[np.ndarray, float]:
    raster = Raster.open(path)
    bands = bands or raster.color_bands
    return raster.read(WINDOW, bands, raster.value_range(bands))[:2]


def tile_of(workspace: Workspace, **options: object) -> np.ndarray:
    """The only tile, or its reason."""
    (result,) = outcomes(workspace, size=SIDE, **options).values()
    assert result.status == 'kept', result.reason
    with Image.open(next((workspace.out / 'images').rglob('*.png'))) as tile:
        return np.array(tile)


@pytest.mark.parametrize(
    ('count', 'names', 'bands'),
    [
        (1, ['gray'], [1]),
        (2, ['gray', 'alpha'], [1]),
        (2, ['gray', 'undefined'], [1]),
        (3, ['red', 'green', 'blue'], [1, 2, 3]),
        (3, ['blue', 'green', 'red'], [3, 2, 1]),
        (4, ['red', 'green', 'blue', 'undefined'], [1, 2, 3]),
        (4, ['blue', 'green', 'red', 'nir'], [3, 2, 1]),
        (3, ['nir', 'red', 'green'], [1, 2, 3]),
        (5, ['undefined', 'alpha', 'red', 'green', 'blue'], [3, 4, 5]),
        (3, ['gray', 'undefined', 'undefined'], [1, 2, 3]),
        (3, ['gray', 'alpha', 'undefined'], [1]),
        (4, ['gray', 'alpha', 'undefined', 'undefined'], [1, 3, 4]),
    ],
)
@pytest.mark.parametrize('interleave', ['pixel', 'band'])
def test_bands_by_name(
    workspace: Workspace, count: int, names: list[str], bands: list[int], interleave: str
) -> None:
    pixels = values(count)
    write_raster(
        workspace.source / 'a.tif', pixels, interleave=interleave, photometric='MINISBLACK'
    )
    name_bands(workspace.source / 'a.tif', *names)
    want = np.broadcast_to(pixels[[band - 1 for band in bands]], (3, SIDE, SIDE))
    assert np.array_equal(tile_of(workspace), want.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ('dtype', 'bits'), [('uint8', 1), ('uint8', 4), ('uint8', 8), ('uint16', 16)]
)
@pytest.mark.parametrize('bands', [None, (1,), (1, 1, 1)])
def test_a_palette_becomes_its_colors(
    workspace: Workspace, dtype: str, bits: int, bands: tuple[int, ...] | None
) -> None:
    """As GDAL's own table has them, and as Pillow reads the same file where it can."""
    path = workspace.source / 'a.tif'
    index = (values(1) >> (8 - min(bits, 8))).astype(dtype)
    table = np.random.default_rng(9).integers(0, 256, (2 ** min(bits, 9), 3))
    write_raster(path, index, photometric='PALETTE', **({'NBITS': bits} if bits < 8 else {}))
    with rasterio.open(path, 'r+') as file:
        file.write_colormap(1, {k: (*map(int, row), 255) for k, row in enumerate(table)})
    tile = tile_of(workspace, **({'bands': bands} if bands else {}))
    assert np.array_equal(tile, table[index[0]])
    if dtype == 'uint8':
        with Image.open(path) as image:
            assert np.array_equal(tile, np.array(image.convert('RGB')))


def test_a_palette_with_nodata_has_holes(workspace: Workspace) -> None:
    index = values(1)
    index[0, :4] = 0
    write_raster(workspace.source / 'a.tif', index, photometric='PALETTE', nodata=0)
    with rasterio.open(workspace.source / 'a.tif', 'r+') as file:
        file.write_colormap(1, {k: (200, k, 3, 255) for k in range(256)})
    pixels, valid = read(workspace.source / 'a.tif')
    assert valid == 1 - 4 / SIDE and not pixels[:4].any() and (pixels[4:, :, 0] == 200).all()


@pytest.mark.parametrize(
    ('dtype', 'options', 'want'),
    [
        ('uint8', {}, lambda v: 255 - v),
        ('uint8', dict(NBITS=4), lambda v: 255 - v * 17),
        ('uint8', dict(NBITS=1), lambda v: 255 - v * 255),
    ],
)
def test_small_values_are_light_where_the_file_says_so(
    workspace: Workspace, dtype: str, options: dict, want: object
) -> None:
    pixels = values(1) >> (8 - options.get('NBITS', 8))
    write_raster(workspace.source / 'a.tif', pixels, photometric='MINISWHITE', **options)
    assert np.array_equal(tile_of(workspace)[..., 1], want(pixels[0].astype(int)))
    with Image.open(workspace.source / 'a.tif') as image:
        assert np.array_equal(np.array(image.convert('L')), want(pixels[0].astype(int)))


def test_deep_values_that_are_light_where_small(workspace: Workspace) -> None:
    pixels = np.linspace(0, 4000, SIDE * SIDE).astype(np.uint16).reshape(1, SIDE, SIDE)
    write_raster(workspace.source / 'a.tif', pixels, photometric='MINISWHITE')
    light = tile_of(workspace)
    assert light[0, 0, 0] == 255 and light[-1, -1, 0] == 0
    write_raster(workspace.source / 'a.tif', pixels)
    assert np.abs(255 - light.astype(int) - tile_of(workspace)).max() <= 1


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_few_bits_use_the_whole_range(workspace: Workspace, bits: int) -> None:
    pixels = values(3) >> (8 - bits)
    write_raster(workspace.source / 'a.tif', pixels, NBITS=bits, photometric='RGB')
    want = np.round(pixels.transpose(1, 2, 0) * (255 / (2**bits - 1)))
    assert np.array_equal(tile_of(workspace), want)


def test_alpha_of_gray_and_of_colors_is_what_is_valid(workspace: Workspace) -> None:
    for count in (2, 4):
        pixels = values(count)
        pixels[-1] = 255
        pixels[-1, :8] = 0
        path = workspace.source / f'{count}.tif'
        write_raster(path, pixels, photometric='MINISBLACK' if count == 2 else 'RGB', alpha='YES')
        result, valid = read(path)
        assert valid == 1 - 8 / SIDE and not result[:8].any() and result[8:].all()


def test_a_band_that_is_not_shown_says_nothing_of_the_others(workspace: Workspace) -> None:
    pixels = values(4)
    pixels[:3, :10] = 0  # no data in the colors, but in the fourth band
    write_raster(workspace.source / 'a.tif', pixels, nodata=0, photometric='RGB', alpha='NO')
    result, valid = read(workspace.source / 'a.tif')
    assert valid == 1 - 10 / SIDE and not result[:10].any()
    assert read(workspace.source / 'a.tif', (4,))[1] == 1


def test_a_pixel_is_data_if_any_of_its_colors_is(workspace: Workspace) -> None:
    pixels = values(3)
    pixels[0, :10] = 0  # black in red only: a color like any other
    write_raster(workspace.source / 'a.tif', pixels, nodata=0)
    result, valid = read(workspace.source / 'a.tif')
    assert valid == 1 and np.array_equal(result, pixels.transpose(1, 2, 0))


def test_an_internal_mask(workspace: Workspace) -> None:
    pixels = values(3)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_raster(workspace.source / 'a.tif', pixels)
        with rasterio.open(workspace.source / 'a.tif', 'r+') as file:
            mask = np.full((SIDE, SIDE), 255, np.uint8)
            mask[:, :16] = 0
            file.write_mask(mask)
    result, valid = read(workspace.source / 'a.tif')
    assert valid == 0.5 and not result[:, :16].any()
    assert np.array_equal(result[:, 16:], pixels[:, :, 16:].transpose(1, 2, 0))


@pytest.mark.parametrize('nodata', [np.nan, -9999])
def test_floats_and_signed_numbers_are_stretched_between_what_is_data(
    workspace: Workspace, nodata: float
) -> None:
    pixels = np.linspace(-5, 5, SIDE * SIDE, dtype=np.float32).reshape(1, SIDE, SIDE).copy()
    pixels[0, :3] = nodata
    write_raster(workspace.source / 'a.tif', pixels, nodata=nodata)
    result, valid = read(workspace.source / 'a.tif')
    low, high = np.quantile(pixels[0, 3:], [0.02, 0.98])
    want = np.clip((pixels[0, 3:] - low) / (high - low) * 255, 0, 255)
    assert valid == 1 - 3 / SIDE and np.abs(result[3:, :, 0] - want).max() <= 0.51


@pytest.mark.parametrize('dtype', ['int8', 'int16', 'uint16', 'int32', 'uint32', 'float64'])
def test_other_types_are_stretched(workspace: Workspace, dtype: str) -> None:
    pixels = np.linspace(-100, 100, SIDE * SIDE).reshape(1, SIDE, SIDE)
    pixels = (pixels + 100 * (dtype[0] == 'u')).astype(dtype)
    write_raster(workspace.source / 'a.tif', pixels)
    tile = tile_of(workspace)[..., 0].astype(int)
    assert tile[0, 0] == 0 and tile[-1, -1] == 255 and (np.diff(tile.reshape(-1)) >= 0).all()


@pytest.mark.parametrize('dtype', ['complex64', 'complex128'])
def test_complex_values_are_refused_by_name(workspace: Workspace, dtype: str) -> None:
    write_raster(workspace.source / 'a.tif', values(1).astype(dtype) * (1 + 2j))
    (result,) = outcomes(workspace, size=SIDE).values()
    assert result.status == 'dropped' and f'complex values ({dtype})' in result.reason


def test_jpeg_colors_are_converted(workspace: Workspace) -> None:
    smooth = np.asarray(
        Image.fromarray(noise(4, 4).transpose(1, 2, 0)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
    )
    write_raster(
        workspace.source / 'a.tif',
        smooth.transpose(2, 0, 1),
        photometric='YCBCR',
        compress='jpeg',
        JPEG_QUALITY=95,
        interleave='pixel',
    )
    assert np.abs(tile_of(workspace).astype(int) - smooth).mean() < 6


def test_inks_of_bytes_are_converted_and_deep_ones_refused(workspace: Workspace) -> None:
    inks = values(4)
    write_raster(workspace.source / 'a.tif', inks, photometric='CMYK')
    want = (255 - inks[:3].astype(int)) * (255 - inks[3].astype(int)) / 255
    assert np.abs(tile_of(workspace) - want.transpose(1, 2, 0)).max() <= 1
    write_raster(workspace.source / 'a.tif', inks.astype(np.uint16), photometric='CMYK')
    (result,) = outcomes(workspace, size=SIDE).values()
    assert result.status == 'dropped' and 'bands of cyan, magenta, yellow' in result.reason


def geotiff(width: int, height: int, rows: int, bits: int, compression: int) -> bytes:
    """A header with coordinates and 200 bytes for its pixels."""
    keys = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633]
    tags = [
        (256, 'I', [width]),
        (257, 'I', [height]),
        (258, 'H', [bits]),
        (259, 'H', [compression]),
        (262, 'H', [1]),
        (273, 'I', [8]),
        (277, 'H', [1]),
        (278, 'I', [rows]),
        (279, 'I', [100]),
        (33550, 'd', [0.5, 0.5, 0.0]),
        (33922, 'd', [0.0, 0, 0, 5e5, 58e5, 0]),
        (34735, 'H', keys),
    ]
    start = 8 + 200
    behind, arrays, entries = start + 2 + 12 * len(tags) + 4, b'', b''
    for tag, kind, numbers in tags:
        content = struct.pack(f'<{len(numbers)}{kind}', *numbers)
        if len(content) > 4:
            content, arrays = struct.pack('<I', behind + len(arrays)), arrays + content
        entries += struct.pack(
            '<HHI', tag, {'H': 3, 'I': 4, 'd': 12}[kind], len(numbers)
        ) + content.ljust(4, b'\0')
    return (
        b'II'
        + struct.pack('<HI', 42, start)
        + bytes(200)
        + struct.pack('<H', len(tags))
        + entries
        + bytes(4)
        + arrays
    )


@pytest.mark.parametrize(
    ('size', 'rows', 'compression', 'reason'),
    [
        ((1_000_000, 1_000_000), 16, 8, 'tiles would be cut from it'),
        ((20_000, 20_000), 20_000, 8, 'its header names 400000000 values, which cannot be in'),
    ],
)
def test_a_header_that_asks_for_more_than_a_file_can_hold(
    workspace: Workspace, size: tuple[int, int], rows: int, compression: int, reason: str
) -> None:
    (workspace.source / 'a.tif').write_bytes(geotiff(*size, rows, 16, compression))
    (result,) = outcomes(workspace, size=SIDE if rows == 16 else 512).items()
    assert result[0] == 'a.tif' and result[1].status == 'dropped' and reason in result[1].reason


def test_no_other_file_is_read_through_a_raster(tmp_path: Path) -> None:
    write_raster(tmp_path / 'b.tif', values(1))
    (tmp_path / 'a.tif').write_text(
        '<VRTDataset rasterXSize="32" rasterYSize="32"><VRTRasterBand dataType="Byte" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">b.tif</SourceFilename></SimpleSource>'
        '</VRTRasterBand></VRTDataset>'
    )
    with pytest.raises(ValueError, match='cannot be read'):
        Raster.open(tmp_path / 'a.tif')
