"""Boxes, circles and polygons against positions at known places, and shapely point by point."""

import math

import numpy as np
import pytest
import shapely
from pyproj import Geod

from urbancross_mm.structures.filters import Box, Filter, Near, Polygon

WGS84 = Geod(ellps='WGS84')


def inside(where: str, *points: tuple[float, float]) -> list[bool]:
    lons, lats = zip(*points)
    return Filter.parse([where]).matches(dict(lon=lons, lat=lats), len(points)).tolist()


def random_points(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions all over the globe, many near the poles, the antimeridian and its ends."""
    rng = np.random.default_rng(seed)
    lons = np.where(
        rng.random(number) < 0.3,
        rng.choice([-180.0, 180.0, 0.0, 179.999, -179.9], number),
        rng.uniform(-180, 180, number),
    )
    lats = np.where(
        rng.random(number) < 0.2,
        rng.choice([-90.0, 90.0, 0.0, 89.99, -89.9], number),
        np.degrees(np.arcsin(rng.uniform(-1, 1, number))),
    )
    return lons, lats  # fmt: skip


@pytest.mark.parametrize(
    'first, second, meters',
    [
        ((0.0, 0.0), (1.0, 0.0), 111319.4908),  # along the equator
        ((0.0, 0.0), (0.0, 1.0), 110574.3886),  # along a meridian
        ((0.0, 0.0), (77.0, 90.0), 10001965.7293),  # a quarter of a meridian
        ((-73.8, 40.6), (-0.5, 51.6), 5551759.4003),  # New York to London
        ((179.5, 0.0), (-179.5, 0.0), 111319.4908),  # across the antimeridian
        ((12.0, 89.5), (-168.0, 89.5), 111693.9509),  # over the pole
        ((0.0, 0.0), (180.0, 0.0), 20003931.4586),  # antipodes
    ],
)
def test_distances_are_those_on_the_ellipsoid(
    first: tuple[float, float], second: tuple[float, float], meters: float
) -> None:
    for a, b in ((first, second), (second, first)):
        assert inside(f'near={a[0]},{a[1]},{meters + 0.001}', b) == [True]
        assert inside(f'near={a[0]},{a[1]},{meters - 0.001}', b) == [False]


@pytest.mark.parametrize('lat', [0.0, 45.0, -66.0, 89.9, 90.0, -90.0])
@pytest.mark.parametrize('meters', [0.5, 500.0, 3e5, 9e6, 1.9e7])
def test_near_equals_the_geodesic_of_every_point(lat: float, meters: float) -> None:
    bearings = np.linspace(0, 360, 181)
    for factor, expected in ((1 - 1e-7, True), (1 + 1e-7, False)):
        starts = np.full(181, 179.9), np.full(181, lat)
        lons, lats, _ = WGS84.fwd(*starts, bearings, np.full(181, meters * factor))
        if meters < 1.9e7:  # beyond, another way round may be shorter
            assert inside(f'near=179.9,{lat},{meters}', *zip(lons, lats)) == [expected] * 181
    lons, lats = random_points(500, seed=1)
    distances = [WGS84.inv(179.9, lat, *point)[2] for point in zip(lons, lats)]
    found = inside(f'near=179.9,{lat},{meters}', *zip(lons, lats))
    assert found == [distance <= meters for distance in distances]


def test_bounds_of_a_circle_hold_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        near = Near(rng.uniform(-180, 180), rng.choice([rng.uniform(-90, 90), 89.99, -90.0]),
                    10 ** rng.uniform(0, 7.3))  # fmt: skip
        starts = np.full(91, near.lon), np.full(91, near.lat)
        lons, lats, _ = WGS84.fwd(*starts, np.linspace(0, 360, 91), np.full(91, near.meters))
        where = Filter((near.bounds,))
        assert where.matches(dict(lon=lons, lat=lats), 91).all()
    small = Near(10, 60, 1000).bounds
    assert (small.east - small.west) == pytest.approx(2 * 1000 / 55800, rel=0.01)
    assert (small.north - small.south) == pytest.approx(2 * 1000 / 111412, rel=0.01)
    assert Near(179.999, 0, 1000).bounds.east < -179.9


@pytest.mark.parametrize(
    'box, points, expected',
    [
        ('2,41,3,42', [(2, 41), (3, 42), (2.5, 41.5), (1.9, 41.5), (2.5, 42.1)], [1, 1, 1, 0, 0]),
        ('170,-10,-170,10', [(175, 0), (-175, 0), (180, 0), (-180, 0), (0, 0)], [1, 1, 1, 1, 0]),
        ('170,-10,190,10', [(175, 0), (-175, 0), (180, 0), (-180, 0), (0, 0)], [1, 1, 1, 1, 0]),
        ('-190,-10,-170,10', [(175, 0), (-175, 0), (0, 0)], [1, 1, 0]),
        ('170,-10,180,10', [(180, 0), (-180, 0), (-179, 0)], [1, 1, 0]),
        ('-180,-10,-170,10', [(180, 0), (-180, 0), (179, 0)], [1, 1, 0]),
        ('180,-10,-170,10', [(180, 0), (-180, 0), (-175, 0), (179, 0)], [1, 1, 1, 0]),
        ('170,-10,-180,10', [(180, 0), (-180, 0), (-175, 0), (175, 0)], [1, 1, 0, 1]),
        ('-180,-90,180,90', [(180, 90), (-180, -90), (0, 0)], [1, 1, 1]),
        ('0,-90,360,90', [(180, 90), (-180, -90), (-5, 0)], [1, 1, 1]),
        ('5,5,5,5', [(5, 5), (5.1, 5)], [1, 0]),
        ('180,0,180,0', [(180, 0), (-180, 0), (0, 0)], [1, 1, 0]),
        ('360,0,-360,0', [(0, 0), (180, 0)], [1, 0]),
    ],
)
def test_boxes(box: str, points: list, expected: list[int]) -> None:
    assert inside(f'bbox={box}', *points) == [bool(value) for value in expected]


def test_a_center_that_is_not_on_the_globe_lies_nowhere() -> None:
    points = [(None, 0), (0, None), (200, 0), (0, 95), ('0', '0'), (math.nan, 0), (0, 0)]
    for where in ('bbox=-180,-90,180,90', 'near=0,0,3e7',
                  'polygon=POLYGON((-180 -90,180 -90,180 90,-180 90,-180 -90))'):  # fmt: skip
        assert inside(where, *points) == [False] * 6 + [True]


def test_polygons_equal_shapely_point_by_point() -> None:
    rng = np.random.default_rng(2)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
    radii = rng.uniform(3, 9, 40)
    outer = np.stack([5 + radii * np.cos(angles), 50 + radii * np.sin(angles)], 1)
    hole = np.stack([5 + np.cos(angles), 50 + np.sin(angles)], 1)
    shape = shapely.Polygon(outer, [hole])
    assert shape.is_valid
    points = [*rng.uniform((-5, 40), (15, 60), (2000, 2)).tolist(), *outer.tolist(), *hole.tolist()]
    expected = [shape.intersects(shapely.Point(point)) for point in points]
    polygon = Polygon(((outer, hole),))
    assert inside(str(polygon), *points) == expected
    assert expected[-80:] == [True] * 80  # edges of the ring and of the hole belong to it
    assert 400 < sum(expected) < 1200
    assert inside(f'polygon={shapely.to_geojson(shape)}', *points[:2000]) == expected[:2000]


ACROSS = [
    'POLYGON((170 -10, 190 -10, 190 10, 170 10, 170 -10), (178 -1, 182 -1, 182 1, 178 1, 178 -1))',
    'POLYGON((-190 -10,-170 -10,-170 10,-190 10,-190 -10),(-182 -1,-178 -1,-178 1,-182 1,-182 -1))',
    'MULTIPOLYGON(((170 -10, 180 -10, 180 -1, 178 -1, 178 1, 180 1, 180 10, 170 10, 170 -10)), '
    '((-180 -10, -170 -10, -170 10, -180 10, -180 1, -178 1, -178 -1, -180 -1, -180 -10)))',
]


@pytest.mark.parametrize('wkt', ACROSS)
def test_polygons_across_the_antimeridian(wkt: str) -> None:
    points = [(175, 0), (-175, 0), (180, 5), (-180, 5), (180, 0), (-180, 0), (179, 0), (-179, 0.5),
              (0, 0), (169, 0), (-169, 0)]  # fmt: skip
    assert inside(f'polygon={wkt}', *points) == [True] * 4 + [False] * 7
    bounds = Filter.parse([f'polygon={wkt}']).conditions[0].bounds
    assert (bounds.west, bounds.east) == pytest.approx((170, -170), abs=1e-6)


@pytest.mark.parametrize(
    'wests_and_easts, expected',
    [
        ([(1, 2), (5, 6)], (1, 6)),
        ([(-170, -160), (160, 170)], (160, -160)),
        ([(-10, 10), (100, 120), (-100, -90)], (-100, 120)),
        ([(170, 200), (-179, -175)], (170, -160)),
        ([(170, 185), (-179, -170), (150, 155)], (150, -170)),
        ([(-180, 180)], (-180, 180)),
        ([(-180, -60), (-60, 60), (60, 180)], (-180, 180)),
        ([(200, 210)], (-160, -150)),
    ],
)
def test_bounds_of_polygons_are_the_shortest_arc(
    wests_and_easts: list[tuple[float, float]], expected: tuple[float, float]
) -> None:
    polygon = Polygon(
        tuple((((west, 1), (east, 1), (east, 2), (west, 2)),) for west, east in wests_and_easts)
    )
    bounds = polygon.bounds
    assert (bounds.west, bounds.east) == pytest.approx(expected, abs=1e-6)
    assert (bounds.south, bounds.north) == (1, 2)


def test_a_filter_splits_into_what_a_database_can_say_and_the_rest() -> None:
    texts = ['country=spain', 'near=179.9,10,30000', f'polygon={ACROSS[0]}', 'bbox=170,-80,-170,80']
    where = Filter.parse(texts)
    plain, shapes = where.split()
    assert {type(c).__name__ for c in plain.conditions} == {'Compare', 'Box'}
    assert [type(condition) for condition in shapes.conditions] == [Near, Polygon]
    lons, lats = random_points(3000, seed=3)
    lats = np.where(np.arange(3000) % 2, lats, lats / 20 + 8)
    columns = dict(lon=lons, lat=lats, country=['spain', 'italy', 'spain'] * 1000)
    both = plain.matches(columns, 3000) & shapes.matches(columns, 3000)
    assert (both == where.matches(columns, 3000)).all()
    assert both.any()


def test_ranges_of_longitude_say_what_a_box_keeps() -> None:
    lons = np.array([-180, -179, -170, -5, 0, 5, 170, 179, 180.0])
    for west in lons:
        for east in lons:
            box = Box(west, -1, east, 1)
            told = [any(w <= lon <= e for w, e in box.lon_ranges) for lon in lons]
            found = Filter((box,)).matches(dict(lon=lons, lat=lons * 0), len(lons))
            assert found.tolist() == told
            assert told[0] == told[-1]
