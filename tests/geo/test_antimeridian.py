"""Longitudes of GeoJSON run from -180 to 180, also where a raster does not end there."""

from __future__ import annotations

import pytest

from urbancross_mm.geo.antimeridian import point_on_globe, polygon_on_globe

pytest.importorskip('rasterio')
shapely = pytest.importorskip('shapely')


def square(west: float, south: float, east: float, north: float) -> list:
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


@pytest.mark.parametrize('crs', ['EPSG:4326', 'EPSG:4269'])
@pytest.mark.parametrize(('given', 'lon'), [(190, -170), (-190, 170), (180, 180), (20, 20)])
def test_a_point_is_wrapped(crs: str, given: float, lon: float) -> None:
    assert point_on_globe(given, 10, crs)['coordinates'] == pytest.approx((lon, 10))


@pytest.mark.parametrize(
    ('rings', 'parts'),
    [
        ([square(10, 0, 20, 5)], [square(10, 0, 20, 5)]),
        ([square(185, 0, 190, 5)], [square(-175, 0, -170, 5)]),
        ([square(175, 0, 185, 5)], [square(175, 0, 180, 5), square(-180, 0, -175, 5)]),
        ([square(-180, -90, 180, 90)], [square(-180, -90, 180, 90)]),
        ([square(0, -90, 360, 90)], [square(0, -90, 180, 90), square(-180, -90, 0, 90)]),
        ([square(-150, 0, 150, 5)], [square(-150, 0, 150, 5)]),  # not the short way around
    ],
)
@pytest.mark.parametrize('crs', ['EPSG:4326', 'EPSG:4269'])
def test_a_polygon_in_degrees_is_cut(crs: str, rings: list, parts: list) -> None:
    found = polygon_on_globe(rings, crs)
    expected = shapely.MultiPolygon([shapely.Polygon(part) for part in parts])
    assert shapely.geometry.shape(found).equals(expected)
    assert found['type'] == ('Polygon' if len(parts) == 1 else 'MultiPolygon')


def test_holes_are_cut_too() -> None:
    rings = [square(170, 0, 190, 9), square(182, 1, 184, 2), square(172, 1, 174, 2)]
    found = shapely.geometry.shape(polygon_on_globe(rings, 'EPSG:4326'))
    assert found.is_valid and found.area == pytest.approx(20 * 9 - 4)
    assert not found.contains(shapely.Point(-177, 1.5)) and found.contains(shapely.Point(-177, 3))


@pytest.mark.parametrize('crs', ['EPSG:3857', 'EPSG:3832', 'EPSG:32660'])
def test_a_projected_polygon_is_cut(crs: str) -> None:
    west, east = {
        'EPSG:3857': (19.9e6, 20.2e6), 'EPSG:3832': (3.2e6, 3.5e6), 'EPSG:32660': (7.5e5, 9e5)
    }[crs]  # fmt: skip
    found = shapely.geometry.shape(polygon_on_globe([square(west, 0, east, 5e4)], crs))
    assert len(found.geoms) == 2 and found.is_valid
    assert found.bounds[0] == -180 and found.bounds[2] == 180
    # Beside the antimeridian, not around the globe.
    assert found.area == pytest.approx((east - west) * 5e4 / 111e3**2, rel=0.02)


@pytest.mark.parametrize(('crs', 'pole'), [('EPSG:3413', 90), ('EPSG:3031', -90)])
def test_around_a_pole(crs: str, pole: float) -> None:
    found = shapely.geometry.shape(polygon_on_globe([square(-1e5, -1e5, 1e5, 1e5)], crs))
    assert pole in (found.bounds[1], found.bounds[3]) and found.bounds[::2] == (-180, 180)
    beside = polygon_on_globe([square(-5e5, 3e5, -2e5, 6e5)], 'EPSG:3413')
    shape = shapely.geometry.shape(beside)
    assert len(shape.geoms) == 2 and shape.is_valid and shape.area < 300
