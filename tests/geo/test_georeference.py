"""Positions of images on the globe."""

from itertools import pairwise

import numpy as np
import pytest

from tests.curation.stages.test_tile_stage import (
    METER,
    noise,
    outcomes,
    workspace,
    write_image,
    write_raster,
)
from urbancross_mm.curation import Outcome, Workspace, run_stage
from urbancross_mm.curation.stages.tile_stage import TileStage
from urbancross_mm.geo.georeference import check_crs, check_on_globe, position_on_globe
from urbancross_mm.geo.positions import describe_points, meters_of_a_degree
from urbancross_mm.geo.rasters import covered_pixels, tile_windows

rasterio = pytest.importorskip('rasterio')
__all__ = ['workspace']  # a fixture
SITE = 'LOCAL_CS["site",UNIT["meter",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'


def only(workspace: Workspace, **options: object) -> Outcome:
    results = outcomes(workspace, **options)
    assert len(results) == 1
    return next(iter(results.values()))


@pytest.mark.parametrize('origin', [(600000.0, 5800000.0), (780000.0, 6900000.0)])
def test_neighbors_do_not_overlap_off_the_central_meridian(
    workspace: Workspace, origin: tuple[float, float]
) -> None:
    write_raster(workspace.source / 'a.tif', noise(96, 96), origin=origin)
    results = outcomes(workspace, size=32)
    fields = [
        [results[f'a/r{row:06d}_c{column:06d}.png'].fields for column in (0, 32, 64)]
        for row in (0, 32, 64)
    ]
    limit = 0.002 if origin[0] == 600000 else 0.005  # the further off, the more is it turned
    for line in fields:
        for left, right in pairwise(line):
            (west, _, east, _), (start, *_) = left['bounds'], right['bounds']
            assert abs(east - start) < limit * (east - west)
    for upper, lower in pairwise(line[0] for line in fields):
        (_, south, _, north), (*_, top) = upper['bounds'], lower['bounds']
        assert abs(top - south) < limit * (north - south)
    assert fields[1][1]['metres'] == pytest.approx([32 * METER] * 2, rel=0.005)
    center = rasterio.warp.transform(
        'EPSG:32633', 'EPSG:4326', [origin[0] + 48 * METER], [origin[1] - 48 * METER]
    )
    assert [fields[1][1]['lon'], fields[1][1]['lat']] == pytest.approx(
        [center[0][0], center[1][0]], abs=1e-6
    )


def test_meters_are_those_on_the_ground() -> None:
    # Web Mercator stretches by 1 / cos(lat); at 60 degrees a meter of its units is half a meter.
    x, y = (value[0] for value in rasterio.warp.transform('EPSG:4326', 'EPSG:3857', [10], [60]))
    result = position_on_globe([x - 100, y - 100, x + 100, y + 100], 'EPSG:3857')
    assert result['metres'] == pytest.approx([100, 100], rel=0.005)
    # US survey feet.
    result = position_on_globe([3e5 * 3.28, 3e4, 3e5 * 3.28 + 1000, 3e4 + 1000], 'EPSG:2263')
    assert result['metres'] == pytest.approx([304.8, 304.8], rel=0.005)
    assert meters_of_a_degree(0) == pytest.approx((111319.49, 110574.28), abs=0.1)
    assert meters_of_a_degree(60) == pytest.approx((55800, 111412), abs=1)


def test_longitudes_up_to_360_are_turned_back() -> None:
    result = position_on_globe([289.99, 10, 290.01, 10.02], 'EPSG:4326')
    assert result['bounds'] == [-70.01, 10, -69.99, 10.02] and result['lon'] == -70
    assert position_on_globe([-180, -90, 180, 90], 'EPSG:4326')['lon'] == 0
    assert describe_points([190, 189.9, 190.1, 190, 190], [0, 0, 0, -0.1, 0.1])['lon'] == -170


@pytest.mark.parametrize(
    'points',
    [
        ([179.99, 179.95, -179.97, 179.99, 179.99], [0, 0, 0, -1, 1]),  # over the date line
        ([0, -1, 1, 0, 0], [90, 90, 90, 89, 89]),
        ([0, -1, 1, 0, float('inf')], [0] * 5),
        ([500, 499, 501, 500, 500], [0, 0, 0, -1, 1]),
    ],
)
def test_there_are_places_that_no_box_describes(points: tuple) -> None:
    with pytest.raises(ValueError, match='globe'):
        describe_points(*points)


@pytest.mark.parametrize(
    ('crs', 'origin'),
    [(SITE, (0, 0)), ('EPSG:32633', (5e9, 1e9)), ('EPSG:4326', (400, 10)), ('EPSG:4326', (10, 99))],
)
def test_a_raster_nowhere_on_the_globe_is_kept_with_a_remark(
    workspace: Workspace, crs: str, origin: tuple[float, float]
) -> None:
    write_raster(workspace.source / 'a.tif', noise(32, 32), crs=crs, origin=origin)
    result = only(workspace, size=32)
    assert (result.status, 'bounds' in result.fields) == ('kept', False)
    assert result.reason.startswith('no position: ') and 'globe' in result.reason


def test_a_turned_raster_has_no_position(workspace: Workspace) -> None:
    turned = (
        rasterio.Affine.translation(5e5, 58e5)
        @ rasterio.Affine.rotation(30)
        @ rasterio.Affine.scale(METER, -METER)
    )
    write_raster(workspace.source / 'a.tif', noise(32, 32), transform=turned)
    result = only(workspace, size=32)
    assert result.status == 'kept' and 'bounds' not in result.fields
    assert result.reason == 'no position: only rasters with north up are understood'


def test_a_crs_without_coordinates_is_no_position(workspace: Workspace) -> None:
    write_raster(workspace.source / 'a.tif', noise(32, 32), transform=rasterio.Affine.identity())
    result = only(workspace, size=32)
    assert result.status == 'kept' and 'bounds' not in result.fields
    assert result.reason == 'no position: the raster names a CRS and no coordinates'


def test_a_world_file_off_the_globe_is_a_remark(workspace: Workspace) -> None:
    write_image(workspace.source / 'a.png')
    (workspace.source / 'a.pgw').write_text('1 0 0 -1 1e12 1e12')
    for crs in ('EPSG:4326', 'EPSG:32633'):
        result = only(workspace, crs=crs)
        assert result.status == 'kept' and 'globe' in result.reason


@pytest.mark.parametrize(
    ('image', 'world'),
    [
        ('X.JPG', 'X.JGW'),
        ('X.JPG', 'X.jgw'),
        ('x.jpg', 'x.JGW'),
        ('X.TIF', 'X.TFW'),
        ('x.jpeg', 'x.jgw'),
        ('x.png', 'x.pngw'),
        ('x.bmp', 'x.wld'),
    ],
)
def test_world_files_in_any_letters(workspace: Workspace, image: str, world: str) -> None:
    write_image(workspace.source / image)
    (workspace.source / world).write_text('0.001 0 0 -0.001 10.0005 49.9995')
    assert only(workspace).fields['bounds'] == pytest.approx([10, 49.968, 10.032, 50])


def test_another_world_file_makes_the_image_again(workspace: Workspace) -> None:
    write_image(workspace.source / 'a.png')
    assert 'bounds' not in only(workspace).fields
    for west in (10, 20, 30):
        (workspace.source / 'a.pgw').write_text(f'0.001 0 0 -0.001 {west}.0005 49.9995')
        assert only(workspace).fields['bounds'][0] == west
    (workspace.source / 'a.pgw').unlink()
    assert 'bounds' not in only(workspace).fields


def test_the_crs_is_looked_at_before_anything_runs(workspace: Workspace) -> None:
    write_image(workspace.source / 'a.png')
    for crs in ('EPSG:999999', 'nonsense', SITE):
        with pytest.raises(ValueError, match='CRS'):
            TileStage(crs=crs).check(workspace)
    check_crs('EPSG:25833')


def test_a_narrow_raster_is_cut_along_its_length(workspace: Workspace) -> None:
    assert tile_windows(20, 100, 32, 32) == [(0, row, 20, 32) for row in (0, 32, 64)]
    assert tile_windows(100, 20, 32, 64) == [(0, 0, 32, 20), (64, 0, 32, 20)]
    assert tile_windows(20, 10, 32, 32) == [(0, 0, 20, 10)]
    write_raster(workspace.source / 'a.tif', noise(64, 20))
    assert [outcome.fields['width'] for outcome in outcomes(workspace, size=32).values()] == [
        20,
        20,
    ]


@pytest.mark.parametrize(
    ('width', 'height', 'size', 'stride'),
    [(100, 70, 32, 32), (100, 70, 32, 10), (100, 70, 32, 40), (20, 70, 32, 32), (5, 5, 32, 8)],
)
def test_covered_pixels_are_those_of_the_windows(
    width: int, height: int, size: int, stride: int
) -> None:
    seen = np.zeros((height, width), bool)
    for column, row, across, down in tile_windows(width, height, size, stride):
        seen[row : row + down, column : column + across] = True
    assert covered_pixels(width, height, size, stride) == seen.sum()


def test_the_report_says_what_no_tile_covers(workspace: Workspace) -> None:
    write_raster(workspace.source / 'a.tif', noise(40, 64))
    write_raster(workspace.source / 'b.tif', noise(32, 32))
    stage = TileStage(size=32)
    _, report = run_stage(stage, stage.discover(workspace), workspace)
    assert report.remarks == (
        '14.3% of the rasters is not covered by whole tiles; a smaller size or stride covers more',
    )
    stage = TileStage(size=8)
    assert run_stage(stage, stage.discover(workspace), workspace)[1].remarks == ()


@pytest.mark.parametrize(
    ('crs', 'place'),
    [
        ('EPSG:25833', (4e9, 4e9)),
        ('EPSG:3857', (4e9, 0)),  # the inverse goes around the globe a hundred times
        ('EPSG:4326', (4e9, 0)),
        ('EPSG:4258', (10, 99)),
        (SITE, (0, 0)),
    ],
)
def test_points_off_the_globe_are_refused(crs: str, place: tuple[float, float]) -> None:
    x, y = place
    with pytest.raises(ValueError, match='does not lead to a position'):
        check_on_globe([(x, y), (x - 1, y - 1), (x + 1, y + 1)], crs)
    check_on_globe([(13, 52), (12, 51), (373, 53)], 'EPSG:4326')
    check_on_globe([(4e5, 5.8e6), (3e5, 5.7e6), (5e5, 5.9e6)], 'EPSG:25833')
