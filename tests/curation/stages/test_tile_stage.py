"""Tiles out of folders and GeoTIFFs, whatever is wrong with some of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from urbancross_mm.curation import ImageRecord, Outcome, Workspace, run_stage
from urbancross_mm.curation.stages.tile_stage import TileStage

rasterio = pytest.importorskip('rasterio')

UTM, ORIGIN, METER = 'EPSG:32633', (500000.0, 5800000.0), 0.5


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / 'in').mkdir()
    return Workspace(tmp_path / 'in', tmp_path / 'out')


def write_raster(
    path: Path,
    pixels: np.ndarray,
    crs: str | None = UTM,
    origin: tuple[float, float] = ORIGIN,
    transform: object = None,
    **profile: object,
) -> None:
    """(bands, H, W), north-west corner at the origin, pixels of METER."""
    bands, height, width = pixels.shape
    transform = transform or rasterio.transform.from_origin(*origin, METER, METER)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=bands,
        height=height,
        width=width,
        dtype=pixels.dtype,
        crs=crs,
        transform=transform,
        **profile,
    ) as file:
        file.write(pixels)


def write_image(path: Path, side: int = 32) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(side, side).transpose(1, 2, 0)).save(path)
    return path.read_bytes()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (3, height, width), dtype=np.uint8)


def outcomes(workspace: Workspace, **options: object) -> dict[str, Outcome]:
    """What became of each image."""
    from urbancross_mm.curation import Manifest

    stage = TileStage(**options)
    stage.check(workspace)
    run_stage(stage, stage.discover(workspace), workspace)
    records = Manifest(workspace.out / 'manifest/tile.jsonl').read()
    return {name: record.outcome for name, record in records.items()}


def test_a_raster_is_cut_into_the_pixels_it_holds(workspace: Workspace) -> None:
    pixels = noise(70, 100)
    write_raster(workspace.source / 'city.tif', pixels)
    results = outcomes(workspace, size=32)
    assert list(results) == [
        f'city/r{row:06d}_c{column:06d}.png' for row in (0, 32) for column in (0, 32, 64)
    ]
    name = 'city/r000032_c000064.png'
    with Image.open(workspace.out / 'images' / name) as tile:
        assert np.array_equal(np.array(tile), pixels[:, 32:64, 64:96].transpose(1, 2, 0))
    fields = results[name].fields
    assert (fields['width'], fields['height']) == (32, 32)
    lon, lat = rasterio.warp.transform(
        UTM, 'EPSG:4326', [ORIGIN[0] + 80 * METER], [ORIGIN[1] - 48 * METER]
    )
    assert fields['lon'] == pytest.approx(lon[0], abs=1e-6)
    assert fields['lat'] == pytest.approx(lat[0], abs=1e-6)
    assert fields['metres'] == pytest.approx([16, 16], rel=0.02)
    west, south, east, north = fields['bounds']
    assert west < fields['lon'] < east and south < fields['lat'] < north


def test_tiles_may_overlap_and_a_small_raster_is_one_tile(workspace: Workspace) -> None:
    write_raster(workspace.source / 'a.tif', noise(32, 64))
    write_raster(workspace.source / 'b.tif', noise(20, 24))
    assert list(outcomes(workspace, size=32, stride=16)) == [
        'a/r000000_c000000.png',
        'a/r000000_c000016.png',
        'a/r000000_c000032.png',
        'b/r000000_c000000.png',
    ]


def test_tiles_without_data_are_dropped_and_holes_are_black(workspace: Workspace) -> None:
    pixels = noise(32, 64)
    pixels[:, :, 40:] = 0
    pixels[:, :4, :4] = 0
    write_raster(workspace.source / 'a.tif', pixels, nodata=0)
    results = outcomes(workspace, size=32)
    assert results['a/r000000_c000000.png'].status == 'kept'
    empty = results['a/r000000_c000032.png']
    assert (empty.status, empty.reason) == ('dropped', 'less than 50% has data')
    assert not (workspace.out / 'images/a/r000000_c000032.png').exists()


def test_deep_values_are_stretched_over_the_whole_raster(workspace: Workspace) -> None:
    values = np.linspace(1000, 3000, 32 * 64, dtype=np.uint16).reshape(1, 32, 64)
    write_raster(workspace.source / 'a.tif', np.concatenate([values] * 3))
    outcomes(workspace, size=32)
    tiles = [
        np.array(Image.open(workspace.out / f'images/a/r000000_c0000{column}.png'))
        for column in ('00', '32')
    ]
    # A stretch of each tile by itself would make both use all of 0..255 in every row.
    assert tiles[0].min() == 0 and tiles[1].max() == 255
    assert np.abs(tiles[0][:, -1].astype(int) - tiles[1][:, 0].astype(int)).max() <= 1
    outcomes(workspace, size=32, value_range=(0, 65535))
    assert np.array(Image.open(workspace.out / 'images/a/r000000_c000032.png')).max() <= 12


def test_a_raster_without_crs_has_no_position(workspace: Workspace) -> None:
    write_raster(workspace.source / 'a.tif', noise(32, 32), crs=None)
    result = outcomes(workspace, size=32)['a/r000000_c000000.png']
    assert result.status == 'kept' and 'bounds' not in result.fields
    assert result.reason == 'no position: the raster names no CRS'


def test_plain_images_pass_through_bit_by_bit(workspace: Workspace) -> None:
    (workspace.source / 'harbor').mkdir()
    path = workspace.source / 'harbor/x.jpg'
    Image.fromarray(noise(40, 48).transpose(1, 2, 0)).save(path)
    path.with_suffix('.jgw').write_text('0.001\n0\n0\n-0.002\n10.0005\n49.999\n')
    result = outcomes(workspace)['harbor/x.jpg']
    assert (workspace.out / 'images/harbor/x.jpg').read_bytes() == path.read_bytes()
    assert result.fields['label'] == 'harbor'
    assert result.fields['bounds'] == pytest.approx([10, 49.92, 10.048, 50])


def test_bad_images_are_dropped_with_a_reason_and_the_others_stay(workspace: Workspace) -> None:
    for name in ('a.jpg', 'a.png', 'b.jpg', 'small.png'):
        side = 8 if name == 'small.png' else 32
        Image.fromarray(noise(side, side).transpose(1, 2, 0)).save(workspace.source / name)
    whole = (workspace.source / 'a.jpg').read_bytes()
    (workspace.source / 'torn.jpg').write_bytes(whole[:-40])
    (workspace.source / 'half.tif').write_bytes(b'II*\0nothing')
    (workspace.source / 'text.png').write_text('no image')
    (workspace.source / 'b.jgw').write_text('1 2 3')
    results = outcomes(workspace)
    assert {name: outcome.status for name, outcome in results.items()} == {
        'a.jpg': 'kept',
        'a.png': 'dropped',
        'b.jpg': 'kept',
        'half.tif': 'dropped',
        'small.png': 'dropped',
        'text.png': 'dropped',
        'torn.jpg': 'dropped',
    }
    assert results['a.png'].reason == 'same name as another image'
    assert results['a.png'].fields == {'same_as': 'a.jpg'}
    assert results['small.png'].reason == 'shorter than 16 px'
    assert results['torn.jpg'].reason == 'cannot be decoded: image file is truncated'
    # Equal troubles are counted together, so no file is named.
    assert (
        results['text.png'].reason
        == results['half.tif'].reason
        == 'cannot be decoded: cannot identify image file'
    )
    assert results['b.jpg'].reason.startswith('no position: a world file holds six numbers')


def test_a_changed_or_lost_file_is_made_again_and_no_other(workspace: Workspace) -> None:
    for name in 'abc':
        Image.fromarray(noise(32, 32).transpose(1, 2, 0)).save(workspace.source / f'{name}.png')
    first = outcomes(workspace)
    Image.fromarray(noise(32, 32, seed=1).transpose(1, 2, 0)).save(workspace.source / 'b.png')
    (workspace.out / 'images/c.png').unlink()
    stage = TileStage()
    stage.batch_size = 1
    _, report = run_stage(stage, stage.discover(workspace), workspace)
    assert report.made == 2 and (workspace.out / 'images/c.png').is_file()
    second = outcomes(workspace)
    assert {n for n in first if first[n].fields['sha'] != second[n].fields['sha']} == {'b.png'}


def test_threads_change_nothing(workspace: Workspace, tmp_path: Path) -> None:
    write_raster(workspace.source / 'a.tif', noise(64, 64))
    one = outcomes(workspace, size=16)
    many = outcomes(Workspace(workspace.source, tmp_path / 'other', workers=4), size=16)
    assert one == many


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(size=0), 'size and stride'),
        (dict(bands=(1, 2)), 'bands'),
        (dict(bands=(0,)), 'bands'),
        (dict(value_range=(5, 5)), 'black'),
        (dict(label='x'), 'label'),
        (dict(min_valid=2), '2'),
    ],
)
def test_wrong_options(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TileStage(**options)


def test_nothing_to_do_is_an_error_at_the_start(workspace: Workspace) -> None:
    with pytest.raises(FileNotFoundError, match='no image'):
        TileStage().check(workspace)
    with pytest.raises(FileNotFoundError, match='no folder'):
        TileStage().check(Workspace(workspace.source / 'x', workspace.out))


def test_a_turned_image_has_no_position(workspace: Workspace) -> None:
    Image.fromarray(noise(32, 32).transpose(1, 2, 0)).save(workspace.source / 'a.png')
    (workspace.source / 'a.pgw').write_text('1 0.2 0.2 -1 0 0')
    assert 'north up' in outcomes(workspace)['a.png'].reason
    assert ImageRecord('a.png').fields == {}


def test_tiles_of_one_color_are_empty(workspace: Workspace) -> None:
    pixels = noise(32, 64)
    pixels[:, :, 32:] = 0  # a border, and no word of nodata in the file
    write_raster(workspace.source / 'a.tif', pixels)
    Image.new('RGB', (32, 32), (9, 9, 9)).save(workspace.source / 'flat.png')
    Image.new('RGBA', (32, 32), (0, 0, 0, 0)).save(workspace.source / 'clear.png')
    results = {name: (one.status, one.reason) for name, one in outcomes(workspace, size=32).items()}
    blank = ('dropped', 'one color only')
    assert results == {
        'a/r000000_c000000.png': ('kept', ''),
        'a/r000000_c000032.png': blank,
        'flat.png': blank,
        'clear.png': blank,
    }


def test_an_image_that_was_damaged_since_is_put_back(workspace: Workspace) -> None:
    content = write_image(workspace.source / 'a.png')
    outcomes(workspace)
    (workspace.out / 'images/a.png').unlink()  # it is a link to the source
    (workspace.out / 'images/a.png').write_text('junk')
    outcomes(workspace)
    assert (workspace.out / 'images/a.png').read_bytes() == content


def test_what_is_not_taken_is_counted(workspace: Workspace) -> None:
    write_image(workspace.source / 'a.png')
    for name in ('x.jp2', 'deep/y.jp2', 'z.gif', 'notes.txt', '.ipynb_checkpoints/a.png'):
        (workspace.source / name).parent.mkdir(exist_ok=True)
        (workspace.source / name).write_bytes(b'')
    (workspace.source / 'lost.jpg').symlink_to('nowhere.jpg')
    stage = TileStage()
    _, report = run_stage(stage, stage.discover(workspace), workspace)
    assert report.remarks == ('passed over: 1 .gif, 2 .jp2, 1 broken links, 1 hidden',)


def test_a_name_that_leaves_no_room_is_refused(workspace: Workspace) -> None:
    write_image(workspace.source / ('a' * 240 + '.png'))
    (result,) = outcomes(workspace).values()
    assert (result.status, result.reason) == ('dropped', 'its name is longer than 230 bytes')
