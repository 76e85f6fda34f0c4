"""Map files of every format hold the same features."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.warp import transform

from urbancross_mm.curation.geo.map_features import MapFeatures
from urbancross_mm.curation.geo.map_files import check_map_file, read_map_file

TREE = dict(
    type='Feature',
    geometry=dict(type='Point', coordinates=[10.5, 50.5]),
    properties=dict(natural='tree', name='ü'),
)
ROAD = dict(
    type='Feature',
    properties=dict(highway='service'),
    geometry=dict(type='LineString', coordinates=[[10, 50], [10.5, 50.25]]),
)
FEATURES = [TREE, ROAD]
SAID = [('natural of tree',), ('road of service',)]


def read(path: Path) -> MapFeatures:
    check_map_file(path)
    features = MapFeatures()
    read_map_file(path, features)
    return features


def write(path: Path, content: Any) -> Path:
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def same(features: MapFeatures) -> None:
    assert features.phrases == SAID and not features.broken
    expected = [shapely.geometry.shape(feature['geometry']) for feature in FEATURES]
    assert all(map(shapely.equals, features.geometries, expected))


@pytest.mark.parametrize('name', ['a.geojson', 'a.GEOJSON', 'a.Json'])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
def test_a_collection(tmp_path: Path, name: str, mark: str) -> None:
    content = json.dumps(dict(type='FeatureCollection', features=FEATURES), indent=1)
    same(read(write(tmp_path / name, mark + content)))


LINES = [json.dumps(feature) for feature in FEATURES]


@pytest.mark.parametrize(
    'suffix', ['.geojsonl', '.ndjson', '.geojsonseq', '.GeoJSONL', '.geojsons', '.jsonl']
)
@pytest.mark.parametrize(
    'text',
    [
        '\n'.join(LINES),
        '\n'.join(LINES) + '\n',
        '\r\n'.join(['', *LINES, '', '']),
        ''.join(f'\x1e{line}\n' for line in LINES),
        '\ufeff' + '\n'.join(LINES),
        ''.join(f'\x1e{json.dumps(one, indent=2)}\n' for one in FEATURES),
    ],
)
def test_a_feature_a_line_or_a_text_sequence(tmp_path: Path, suffix: str, text: str) -> None:
    same(read(write(tmp_path / f'a{suffix}', text)))


def test_a_feature_a_line_is_what_gdal_writes(tmp_path: Path) -> None:
    wkb = shapely.to_wkb([shapely.geometry.shape(feature['geometry']) for feature in FEATURES])
    columns = {
        key: np.array([feature['properties'].get(key) for feature in FEATURES], dtype=object)
        for key in ('natural', 'highway')
    }
    for suffix, options in (('.geojsonl', {}), ('.geojsonseq', dict(RS='YES'))):
        pyogrio.raw.write(
            tmp_path / f'a{suffix}',
            np.asarray(wkb, dtype=object),
            list(columns.values()),
            list(columns),
            crs='EPSG:4326',
            geometry_type='Unknown',
            driver='GeoJSONSeq',
            **options,
        )
        same(read(tmp_path / f'a{suffix}'))


@pytest.mark.parametrize('suffix', ['.GPKG', '.FGB', '.Gpkg'])
def test_capital_letters_of_a_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f'a{suffix.lower()}'
    point = shapely.to_wkb([shapely.Point(10.5, 50.5)])
    pyogrio.raw.write(
        path,
        np.asarray(point, dtype=object),
        [np.array(['tree'], dtype=object)],
        ['natural'],
        crs='EPSG:4326',
        geometry_type='Point',
        driver='GPKG' if 'G' in suffix[1].upper() else 'FlatGeobuf',
    )
    assert read(path.rename(tmp_path / f'a{suffix}')).phrases == [('natural of tree',)]


@pytest.mark.parametrize(
    'name, text, message',
    [
        (
            'a.geojsonl',
            LINES[0] + '\n' + LINES[1][:-9],
            r'a\.geojsonl, line 2 ',
        ),
        (
            'a.ndjson',
            '\n' + LINES[0] + '\n[1]\n',
            r'a\.ndjson, line 3 .*\[1\]',
        ),
        ('a.geojsonseq', f'\x1e{json.dumps(TREE, indent=1)}\n\x1e{{\n', r'line \d\d '),
        ('a.geojson', '\n'.join(LINES), 'JSON Lines'),
        ('a.geojson', '{"type": "Feature", "type": "Feature"}', "key 'type' stands twice"),
        ('a.geojson', '{"features": []}', "'type'"),
        ('a.geojson', '{"a": ' + '[' * 99_999, 'nested too deep'),
        ('a.geojson', '{"type": "caf\u00e9"}'.encode('latin-1'), 'line 1: not UTF-8'),
        ('a.geojson', '[1]', r'\[1\]'),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read(write(tmp_path / name, text))
    assert name in str(error.value)


def points(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [dict(lon=lon, lat=lat) for lon, lat in pairs]


def way(number: int, corners: list[Any], **tags: str) -> dict[str, Any]:
    return dict(type='way', id=number, nodes=[], geometry=points(*corners), tags=tags)


def ring(west: float, south: float, side: float) -> list[tuple[float, float]]:
    return [
        (west, south),
        (west + side, south),
        (west + side, south + side),
        (west, south + side),
        (west, south),
    ]


def member(corners: list[Any], role: str) -> dict[str, Any]:
    return dict(type='way', ref=1, role=role, geometry=points(*corners))


def overpass(*elements: Any, **more: Any) -> dict[str, Any]:
    return dict(version=0.6, generator='Overpass API', osm3s={}, elements=elements, **more)


OUTER, HOLE, ISLAND = ring(10, 50, 1), ring(10.25, 50.25, 0.5), ring(10.4, 50.4, 0.2)
ELEMENTS = [
    dict(type='node', id=1, lat=50.5, lon=10.5, tags=dict(natural='tree')),
    dict(type='node', id=2, lat=50, lon=10),
    way(3, OUTER, building='yes'),
    way(4, OUTER, highway='primary', junction='roundabout'),
    way(5, OUTER, highway='pedestrian', area='yes'),
    way(6, OUTER[:3], barrier='wall'),
    way(7, OUTER, landuse='forest', barrier='fence'),
    way(8, OUTER, man_made='storage_tank'),
    dict(
        type='relation',
        id=9,
        tags=dict(type='multipolygon', landuse='grass'),
        members=[
            member(OUTER[:3], 'outer'),
            member(HOLE, 'inner'),
            member(OUTER[2:][::-1], 'outer'),
            member(ISLAND, 'outer'),
        ],
    ),
]


def test_overpass_gives_points_lines_and_areas(tmp_path: Path) -> None:
    features = read(write(tmp_path / 'a.json', overpass(*ELEMENTS)))

    assert not features.broken and features.untagged == 1
    results = dict(zip([said[0] for said in features.phrases], features.geometries))
    outer = shapely.Polygon(OUTER)
    expected = {
        'natural of tree': shapely.Point(10.5, 50.5),
        'building': outer,
        'road of primary': shapely.LineString(OUTER),
        'road of pedestrian': outer,
        'barrier of wall': shapely.LineString(OUTER[:3]),
        'land use of forest': outer,
        'man made of storage tank': outer,
        'land use of grass': outer - shapely.Polygon(HOLE) | shapely.Polygon(ISLAND),
    }
    assert results.keys() == expected.keys()
    for said, geometry in results.items():
        assert geometry.geom_type.removeprefix('Multi') == expected[said].geom_type.removeprefix(
            'Multi'
        ), said
        assert shapely.equals(geometry, expected[said]), said
    assert math.isclose(results['land use of grass'].area, 1 - 0.25 + 0.04)


def test_overpass_says_what_the_extract_says(tmp_path: Path) -> None:
    """GDAL reads the same elements from .osm."""
    corners = [*OUTER[:4], *HOLE[:4]]
    nodes = ''.join(
        f"<node id='{n}' lat='{lat}' lon='{lon}' version='1'/>"
        for n, (lon, lat) in enumerate(corners, 1)
    )
    ways, elements = '', []
    for number, (refs, tags) in enumerate(
        [
            ('12341', dict(building='yes')),
            ('123', dict(highway='service')),
            ('56785', dict(amenity='school', barrier='fence')),
            ('56785', dict(highway='primary', junction='roundabout')),
            ('12341', {}),
            ('56785', {}),
        ],
        1,
    ):
        xml = ''.join(f"<nd ref='{ref}'/>" for ref in refs)
        xml += ''.join(f"<tag k='{key}' v='{value}'/>" for key, value in tags.items())
        ways += f"<way id='{number}' version='1'>{xml}</way>"
        elements.append(way(number, [corners[int(ref) - 1] for ref in refs], **tags))
    tags = dict(type='multipolygon', landuse='grass')
    xml = "<member type='way' ref='5' role='outer'/><member type='way' ref='6' role='inner'/>"
    xml += ''.join(f"<tag k='{key}' v='{value}'/>" for key, value in tags.items())
    elements.append(
        dict(
            type='relation',
            id=1,
            tags=tags,
            members=[member(OUTER, 'outer'), member(HOLE, 'inner')],
        )
    )
    extract = f"<osm version='0.6'>{nodes}{ways}<relation id='1' version='1'>{xml}</relation></osm>"

    def key(features: MapFeatures) -> list[Any]:
        return sorted(
            (
                sorted(said),
                shapely.to_wkt(
                    shapely.normalize(shapely.union_all([geometry])), rounding_precision=6
                ),
            )
            for said, geometry in zip(features.phrases, features.geometries)
        )

    from_gdal = read(write(tmp_path / 'a.OSM', f"<?xml version='1.0'?>{extract}"))
    assert len(from_gdal.phrases) == 5
    assert key(read(write(tmp_path / 'a.json', overpass(*elements)))) == key(from_gdal)


@pytest.mark.parametrize(
    'element',
    [
        dict(type='way', id=7, nodes=[1, 2], tags=dict(building='yes')),
        dict(type='way', id=7, center=dict(lat=50, lon=10), tags=dict(building='yes')),
        dict(
            type='relation',
            id=7,
            tags=dict(type='multipolygon', landuse='grass'),
            members=[dict(type='way', ref=3, role='outer')],
        ),
        dict(type='relation', id=7, center=dict(lat=50, lon=10), tags=dict(landuse='grass')),
    ],
)
def test_overpass_without_geometry_is_refused(tmp_path: Path, element: Any) -> None:
    path = write(tmp_path / 'a.json', overpass(ELEMENTS[0], element))
    with pytest.raises(
        ValueError,
        match=r'a\.json, element 1: \w+ 7 has no geometry: query '
        'Overpass with `out geom`',
    ):
        read(path)


def test_an_answer_that_stopped_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / 'a.json',
        overpass(*ELEMENTS, remark='runtime error: Query timed out in "query" at line 3'),
    )
    with pytest.raises(ValueError, match=r'a\.json.*timed out'):
        read(path)


def test_a_broken_element_is_noted_and_the_others_are_used(tmp_path: Path) -> None:
    clipped = dict(way(1, OUTER, building='yes'))
    clipped['geometry'][1] = None
    open_ring = dict(
        type='relation',
        id=2,
        tags=dict(type='multipolygon', landuse='grass'),
        members=[member(OUTER[:3], 'outer')],
    )
    features = read(
        write(
            tmp_path / 'a.json',
            overpass(
                clipped,
                open_ring,
                'text',
                dict(type='count', tags=dict(natural='x')),
                dict(type='node', id=3, lat=91, lon=0, tags=dict(natural='tree')),
                dict(type='way', id=3, geometry=5, tags=dict(natural='tree')),
                ELEMENTS[0],
            ),
        )
    )

    assert features.phrases == [('natural of tree',)] and len(features.broken) == 6
    reasons = ['box', 'ring', '', "'count'", 'globe', '']
    for number, reason in enumerate(reasons):
        assert features.broken[number].startswith(f'a.json, feature {number}: ')
        assert reason in features.broken[number]


@pytest.mark.parametrize('suffix', ['.gpkg', '.osm', '.fgb', '.shp', '.pbf'])
def test_a_file_under_a_false_name_leads_nowhere(tmp_path: Path, suffix: str) -> None:
    """GDAL would open it by its content, and read what it refers to."""
    secret = write(tmp_path / 'secret.geojson', dict(type='FeatureCollection', features=FEATURES))
    path = tmp_path / f'map{suffix}'
    path.write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="secret"><SrcDataSource>{secret}'
        '</SrcDataSource></OGRVRTLayer></OGRVRTDataSource><!-- <osm OSMHeader -->'
    )
    for look in (check_map_file, read):
        with pytest.raises(ValueError, match=f'map{suffix}.*OGRVRT'):
            look(path)


@pytest.mark.parametrize(
    'holes, left',
    [
        ([ring(1, 1, 1), ring(2, 1, 1)], 14),
        ([ring(1, 1, 2)], 12),
        ([ring(0, 1, 1)], 15),
        ([ring(1, 1, 1), ring(2.5, 2.5, 1)], 14),
        ([ring(0.5, 0.5, 3), ring(1, 1, 1)], 8),
    ],
)
@pytest.mark.parametrize('cut', [False, True])
def test_inner_rings_may_have_a_side_in_common(
    tmp_path: Path, holes: list[Any], left: float, cut: bool
) -> None:
    outer = ring(0, 0, 4)
    outers = [outer[:3], outer[2:]] if cut and holes != [ring(0, 1, 1)] else [outer]
    area = dict(
        type='relation',
        id=1,
        tags=dict(type='multipolygon', landuse='forest'),
        members=[
            *(member(item, 'inner') for item in holes),
            *(member(item, 'outer') for item in outers),
        ],
    )
    features = read(write(tmp_path / 'a.json', overpass(area)))

    assert not features.broken and features.geometries[0].area == pytest.approx(left)


@pytest.mark.parametrize(
    'tags, kind',
    [
        (dict(natural='coastline'), 'LineString'),
        (dict(natural='water'), 'Polygon'),
        (dict(natural='tree_row', landuse='farm'), 'Polygon'),
        (dict(power='line'), 'LineString'),
        (dict(man_made='pipeline'), 'LineString'),
        (dict(man_made='storage_tank'), 'Polygon'),
        (dict(waterway='riverbank'), 'Polygon'),
        (dict(waterway='stream'), 'LineString'),
    ],
)
def test_some_values_differ_from_their_key(tmp_path: Path, tags: dict[str, str], kind: str) -> None:
    features = read(write(tmp_path / 'a.json', overpass(way(1, ring(0, 0, 4), **tags))))

    assert [item.geom_type for item in features.geometries] == [kind]


def test_a_collection_in_a_line_and_what_is_no_geojson(tmp_path: Path) -> None:
    point = dict(
        type='Feature',
        geometry=dict(type='Point', coordinates=[1, 2]),
        properties=dict(building=True, bridge=False),
    )
    lines = [dict(type='FeatureCollection', features=[point, point]), point]
    path = write(tmp_path / 'a.geojsonl', '\n'.join(map(json.dumps, lines)))
    assert read(path).phrases == [('building',)] * 3

    path = write(tmp_path / 'b.geojsonl', '\n'.join(map(json.dumps, [point, overpass()])))
    with pytest.raises(ValueError, match=r"b\.geojsonl, line 2 .*'type'"):
        read(path)
    with pytest.raises(ValueError, match="a.json.*'Topology'"):
        read(write(tmp_path / 'a.json', dict(type='Topology', objects={})))


def test_what_a_feature_lacks_is_named(tmp_path: Path) -> None:
    node = dict(type='node', id=1, tags=dict(amenity='school'))

    (said,) = read(write(tmp_path / 'a.json', overpass(node))).broken
    assert said == "a.json, feature 0: broken, KeyError('lon')"


def test_the_sides_of_the_box_may_be_curves_in_the_crs_of_a_layer(tmp_path: Path) -> None:
    lons = [0.5, 10, 20, 29.5]
    # In a conic projection the middle of a parallel lies south of its ends.
    xs, ys = transform('EPSG:4326', 'EPSG:3034', lons, [50.02] * 4)[:2]
    path = tmp_path / 'a.gpkg'
    pyogrio.raw.write(
        path,
        np.asarray(shapely.to_wkb(shapely.points(xs, ys)), dtype=object),
        [np.array(['tree'] * 4, dtype=object)],
        ['natural'],
        crs='EPSG:3034',
        geometry_type='Point',
        driver='GPKG',
    )
    features = MapFeatures(box=(0, 50, 30, 51))
    read_map_file(path, features)
    assert [point.x for point in features.geometries] == pytest.approx(lons)
