"""Map tags of tiles: from files to phrases."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from urbancross_mm.curation import ImageRecord, Workspace, run_stage
from urbancross_mm.curation.geo.geotags import TileFeature, focus_and_around, phrases
from urbancross_mm.curation.stages.tag_stage import TagStage

TILES = [
    ImageRecord('a.jpg', dict(bounds=[10.0, 50.0, 10.01, 50.01])),
    ImageRecord('b.jpg', dict(bounds=[10.01, 50.0, 10.02, 50.01])),
    ImageRecord('c.jpg', dict(bounds=None)),
]


def feature(kind: str, coordinates: Any, **tags: str) -> dict[str, Any]:
    return {
        'type': 'Feature',
        'geometry': {'type': kind, 'coordinates': coordinates},
        'properties': tags,
    }


def square(west: float, south: float, side: float) -> list[Any]:
    return [
        [
            [west, south],
            [west + side, south],
            [west + side, south + side],
            [west, south + side],
            [west, south],
        ]
    ]


SCHOOL = feature('Polygon', square(10.004, 50.004, 0.002), amenity='school', name='Secret')
ROAD = feature('LineString', [[10.0, 50.001], [10.02, 50.001]], highway='residential')
FOREST = feature('Polygon', square(10.0, 50.0, 0.0099), landuse='forest')
FAR = feature('Point', [0, 0], natural='tree')


def run(tmp_path: Path, features: list[Any], **options: Any) -> tuple[list[ImageRecord], str]:
    (tmp_path / 'map.geojson').write_text(
        json.dumps({'type': 'FeatureCollection', 'features': features})
    )
    workspace = Workspace(tmp_path, tmp_path / 'out')
    stage = TagStage(['map.geojson'], **options)
    stage.check(workspace)
    kept, report = run_stage(stage, TILES, workspace)
    return kept, str(report)


def test_a_tile_gets_what_touches_it_and_nothing_else(tmp_path: Path) -> None:
    kept, report = run(tmp_path, [ROAD, SCHOOL, FOREST, FAR])
    assert kept[0].fields['focus'] == ['amenity of school']
    assert kept[0].fields['around'] == ['land use of forest', 'road of residential']
    assert kept[1].fields['focus'] == ['road of residential'] and kept[1].fields['around'] == []
    assert kept[2].fields['focus'] == []
    assert '3 map features' in report and '0 touch no tile' in report
    assert '1 kept: no position, so no tags' in report
    kept, report = run(tmp_path, [FAR])
    assert len(kept) == 3 and '2 kept: no tags here' in report
    assert 'longitude 10 to 10.02, latitude 50 to 50.01' in report
    # A feature without a useful tag does not hide it.
    nameless = feature('Point', [1, 1], name='x')
    assert 'longitude 10 to 10.02' in run(tmp_path, [FAR, nameless])[1]


def test_broken_geometry_is_reported_and_the_rest_is_used(tmp_path: Path) -> None:
    bowtie = feature(
        'Polygon',
        [
            [
                [10.002, 50.002],
                [10.008, 50.008],
                [10.008, 50.002],
                [10.002, 50.008],
                [10.002, 50.002],
            ]
        ],
        leisure='park',
    )
    broken = [
        feature('Polygon', [[[10, 50], [10.1, 50]]], amenity='x'),
        {'type': 'Feature'},
        feature('Point', [float('nan'), 50], amenity='y'),
        'text',
        feature('Point', [], amenity='z'),
    ]
    kept, report = run(tmp_path, [bowtie, *broken])
    assert kept[0].fields['focus'] == ['leisure of park']
    assert '4 broken features' in report and 'map.geojson, feature 1: ' in report
    assert '1 features without a useful tag' in report
    assert '1 invalid polygons' in report


def test_geojson_of_another_crs_is_moved_or_refused(tmp_path: Path) -> None:
    from rasterio.warp import transform

    (east,), (north,) = transform('EPSG:4326', 'EPSG:32632', [10.005], [50.005])
    collection = {
        'type': 'FeatureCollection',
        'features': [
            feature('Point', [east, north], natural='tree'),
            feature('Point', None, natural='rock') | {'geometry': None},
        ],
    }
    workspace = Workspace(tmp_path, tmp_path / 'out')
    for crs, said, report in (
        ('urn:ogc:def:crs:EPSG::32632', ['natural of tree'], 'feature 1: no geometry'),
        (None, [], 'feature 0: coordinates off the globe, '),
    ):
        named = {'crs': {'type': 'name', 'properties': {'name': crs}}} if crs else {}
        (tmp_path / 'map.geojson').write_text(json.dumps({**collection, **named}))
        kept, result = run_stage(TagStage(['map.geojson']), TILES, workspace)
        assert kept[0].fields['focus'] == said and report in str(result)
    collection['crs'] = {'type': 'EPSG', 'properties': {'code': 32632}}
    (tmp_path / 'map.geojson').write_text(json.dumps(collection))
    assert run_stage(TagStage(['map.geojson']), TILES, workspace)[0][0].fields['focus']
    for crs in ({'type': 'link', 'properties': {'href': 'x'}}, 'EPSG:1', {'properties': 3}):
        (tmp_path / 'map.geojson').write_text(json.dumps({**collection, 'crs': crs}))
        with pytest.raises(ValueError, match='map.geojson.*CRS'):
            run_stage(TagStage(['map.geojson']), TILES, workspace)
    collection['crs'] = {'type': 'name', 'properties': {'name': 'EPSG:1'}}
    (tmp_path / 'map.geojson').write_text(json.dumps(collection))
    with pytest.raises(ValueError, match='map.geojson.*EPSG:1'):
        run_stage(TagStage(['map.geojson']), TILES, workspace)


def test_values_of_json_that_are_no_texts(tmp_path: Path) -> None:
    school = feature(
        'Point', [10.005, 50.005], amenity=['school', 'pub'], natural='x' * 81, leisure={'a': 1}
    )
    assert run(tmp_path, [school])[0][0].fields['focus'] == ['amenity of school', 'amenity of pub']


def test_other_files_say_the_same(tmp_path: Path) -> None:
    shape = shapely.geometry.shape
    tags = [item['properties'] for item in (ROAD, SCHOOL, FOREST)]
    wkb = shapely.to_wkb([shape(item['geometry']) for item in (ROAD, SCHOOL, FOREST)])
    columns = {
        key: np.array([tag.get(key) for tag in tags], dtype=object)
        for key in ('highway', 'amenity', 'landuse')
    }
    for crs, name in (('EPSG:4326', 'map.gpkg'), ('EPSG:32632', 'utm.gpkg')):
        geometries = np.asarray(wkb, dtype=object)
        if crs != 'EPSG:4326':
            from rasterio.warp import transform

            moved = [
                shapely.transform(
                    shape(item['geometry']),
                    lambda points, crs=crs: np.stack(
                        transform('EPSG:4326', crs, points[:, 0], points[:, 1])[:2], 1
                    ),
                )
                for item in (ROAD, SCHOOL, FOREST)
            ]
            geometries = np.asarray(shapely.to_wkb(moved), dtype=object)
        pyogrio.raw.write(
            tmp_path / name,
            geometries,
            list(columns.values()),
            list(columns),
            crs=crs,
            geometry_type='Unknown',
            driver='GPKG',
        )
    expected, _ = run(tmp_path, [ROAD, SCHOOL, FOREST])
    for name in ('map.gpkg', 'utm.gpkg'):
        workspace = Workspace(tmp_path, tmp_path / name[:3])
        kept, _ = run_stage(TagStage([name]), TILES, workspace)
        assert [p.fields['focus'] for p in kept] == [p.fields['focus'] for p in expected]
        assert [p.fields['around'] for p in kept] == [p.fields['around'] for p in expected]


CORNERS = {
    1: (50.004, 10.004),
    2: (50.004, 10.006),
    3: (50.006, 10.006),
    4: (50.006, 10.004),
    5: (50.001, 10.0),
    6: (50.001, 10.02),
}
OSM = f"""<?xml version='1.0'?><osm version='0.6' generator='test'>
{
    ''.join(
        f"<node id='{n}' lat='{lat}' lon='{lon}' version='1'/>" for n, (lat, lon) in CORNERS.items()
    )
}
<way id='1' version='1'><nd ref='1'/><nd ref='2'/><nd ref='3'/><nd ref='4'/><nd ref='1'/>
<tag k='amenity' v='school'/><tag k='roof:shape' v='flat'/></way>
<way id='2' version='1'><nd ref='5'/><nd ref='6'/><tag k='highway' v='residential'/>
<tag k='surface' v='asphalt'/></way></osm>"""


@pytest.mark.parametrize('name', ['map.osm', 'map.osm.pbf'])
def test_openstreetmap_extracts_keep_their_packed_tags(tmp_path: Path, name: str) -> None:
    (tmp_path / 'map.osm').write_text(OSM)
    if name.endswith('.pbf'):
        import osmium

        with osmium.SimpleWriter(tmp_path / name) as writer:
            for element in osmium.FileProcessor(tmp_path / 'map.osm'):
                writer.add(element)
        (tmp_path / 'map.osm').unlink()
    kept, _ = run_stage(TagStage([name]), TILES, Workspace(tmp_path, tmp_path / 'out'))
    assert kept[0].fields['focus'] == ['amenity of school', 'roof shape of flat']
    assert kept[0].fields['around'] == ['road of residential', 'surface of asphalt']


@pytest.mark.parametrize('suffix', ['.gpkg', '.geojson'])
def test_of_a_country_only_what_is_around_the_tiles_is_held(tmp_path: Path, suffix: str) -> None:
    country = [feature('Point', [10 + i / 1000, 50.005], natural='tree') for i in range(-900, 900)]
    (tmp_path / 'map.geojson').write_text(
        json.dumps({'type': 'FeatureCollection', 'features': country})
    )
    if suffix == '.gpkg':
        meta, _, geometries, columns = pyogrio.raw.read(tmp_path / 'map.geojson')
        pyogrio.raw.write(
            tmp_path / 'map.gpkg',
            geometries,
            columns,
            meta['fields'],
            crs='EPSG:4326',
            geometry_type='Point',
            driver='GPKG',
        )
    workspace, stage = Workspace(tmp_path, tmp_path / 'out'), TagStage([f'map{suffix}'])
    kept, _ = run_stage(stage, TILES, workspace)
    west, east = 10.0, 10.02
    assert [geometry.x for geometry in stage.features.geometries] == [
        item['geometry']['coordinates'][0]
        for item in country
        if west <= item['geometry']['coordinates'][0] <= east
    ]
    assert kept[0].fields['focus'] == ['natural of tree']


def test_tiles_without_positions_do_not_read_the_map(tmp_path: Path) -> None:
    (tmp_path / 'map.geojson').write_text('{"type": "FeatureCollection", "features": [1]}')
    stage = TagStage(['map.geojson'])
    _, report = run_stage(stage, [ImageRecord('x.png')], Workspace(tmp_path, tmp_path / 'out'))
    assert 'no tile has a position, so the map was not read' in str(report)
    assert not stage.features.broken


def test_a_changed_map_tags_again_and_the_same_one_does_not(tmp_path: Path) -> None:
    run(tmp_path, [ROAD])
    assert '(0 made now)' in run(tmp_path, [ROAD])[1]
    assert '(3 made now)' in run(tmp_path, [ROAD, SCHOOL])[1]


@pytest.mark.parametrize(
    ('tags', 'said'),
    [
        ({'highway': 'residential', 'name': 'Rue'}, ('road of residential',)),
        ({'building': 'yes', 'landuse': 'farm_land'}, ('building', 'land use of farm land')),
        ({'sport': 'tennis;soccer;tennis'}, ('sport of tennis', 'sport of soccer')),
        ({'amenity': '', 'shop': 'no', 'power': None}, ()),
        ({'generator:source': 'solar'}, ('generator source of solar',)),
        ({'tourism': 'музей'}, ('tourism of музей',)),
    ],
)
def test_phrases(tags: dict, said: tuple) -> None:
    assert phrases(tags) == said


def test_the_focus_is_the_smallest_feature_at_the_center() -> None:
    ground = TileFeature(('land use of grass',), 1.0, 0.0, 0.0)
    block = TileFeature(('land use of retail', 'place of quarter'), 0.5, 0.0, 0.0)
    shop = TileFeature(('building of shop',), 0.1, 0.0, 0.0)
    road = TileFeature(('road of service',), 0.0, 1.2, 0.3)
    tree = TileFeature(('natural of tree',), 0.0, 0.0, 0.4)
    untagged = TileFeature((), 0.05, 0.0, 0.0)
    focus, around = focus_and_around([tree, road, shop, untagged, ground, block], 3, 10)
    assert focus == ['building of shop']
    assert around == [
        'land use of grass',
        'land use of retail',
        'place of quarter',
        'road of service',
        'natural of tree',
    ]
    assert focus_and_around([ground], 3, 10) == (['land use of grass'], [])
    assert focus_and_around([block, ground], 1, 1) == (
        ['land use of retail'],
        ['land use of grass'],
    )
    assert focus_and_around([], 3, 3) == ([], [])


def test_mistakes_end_at_the_start(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path / 'out')
    with pytest.raises(ValueError, match='files.*got'):
        TagStage('map.geojson')
    with pytest.raises(FileNotFoundError, match='none.geojson'):
        TagStage(['none.geojson']).check(workspace)
    (tmp_path / 'map.txt').write_text('x')
    with pytest.raises(ValueError, match='map.txt'):
        TagStage(['map.txt']).check(workspace)
    (tmp_path / 'list.json').write_text('[1, 2]')
    (tmp_path / 'empty.json').write_text('')
    (tmp_path / 'text.gpkg').write_text('no table')
    for name in ('list.json', 'empty.json', 'text.gpkg'):
        with pytest.raises(ValueError, match=name):
            TagStage([name]).check(workspace)
    (tmp_path / 'bad.geojson').write_text('{"type": "Fea')
    TagStage(['bad.geojson']).check(workspace)  # a large file is not parsed at the start
    with pytest.raises(ValueError, match='bad.geojson'):
        run_stage(TagStage(['bad.geojson']), TILES, workspace)


@pytest.mark.parametrize('features', ['null', '{}', '7'])
def test_a_collection_without_features_is_a_mistake(tmp_path: Path, features: str) -> None:
    (tmp_path / 'bad.geojson').write_text(
        f'{{"type": "FeatureCollection", "features": {features}}}'
    )
    with pytest.raises(ValueError, match=r"bad\.geojson.*'features'"):
        TagStage(['bad.geojson']).begin(Workspace(tmp_path, tmp_path / 'out'), TILES)


def test_properties_that_are_none_are_one_broken_feature(tmp_path: Path) -> None:
    kept, report = run(
        tmp_path, [dict(SCHOOL, properties=['amenity']), SCHOOL, dict(SCHOOL, properties=None)]
    )
    assert kept[0].fields['focus'] == ['amenity of school']
    assert '1 broken features' in report and '1 features without a useful tag' in report


def test_a_closed_file_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'map.geojson').write_text('{}')

    def closed(*_: Any) -> None:
        raise PermissionError('Permission denied')

    monkeypatch.setattr('builtins.open', closed)
    with pytest.raises(ValueError, match=r'map\.geojson.*Permission denied'):
        TagStage(['map.geojson']).check(Workspace(tmp_path, tmp_path / 'out'))


def test_files_of_one_name_are_two_files(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path / 'out')
    for folder, features in (('a', [SCHOOL]), ('b', [ROAD])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'map.geojson').write_text(
            json.dumps({'type': 'FeatureCollection', 'features': features})
        )
    stage = TagStage(['a/map.geojson', 'b/map.geojson'])
    before = stage.settings(workspace)
    assert [name for name, _ in before['files']] == ['map.geojson'] * 2
    (tmp_path / 'a/map.geojson').write_text('{"type": "FeatureCollection", "features": []}')
    assert stage.settings(workspace) != before


def test_features_without_a_useful_tag_are_left_out(tmp_path: Path) -> None:
    names = [feature('Point', [10.005, 50.005], name='x') for _ in range(7)]
    kept, report = run(tmp_path, [*names, SCHOOL])
    assert kept[0].fields['focus'] == ['amenity of school']
    assert '1 map features' in report and '0 touch no tile' in report
    assert '7 features without a useful tag' in report
