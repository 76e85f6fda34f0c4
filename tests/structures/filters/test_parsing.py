"""Condition strings: what they mean, that they are written back, and what is refused."""

import json
import random
from pathlib import Path

import pytest

from urbancross_mm.structures.filters import AnyOf, Box, Compare, Filter, Near, Polygon, Tags

TRIANGLE = 'POLYGON((2 41, 3 41, 3 42, 2 41))'
RING = ((2.0, 41.0), (3.0, 41.0), (3.0, 42.0), (2.0, 41.0))


@pytest.mark.parametrize(
    'text, expected',
    [
        ('country=spain', [Compare('country', '=', 'spain')]),
        ('  country = Costa Rica ', [Compare('country', '=', 'Costa Rica')]),
        ('country=spain|germany', [AnyOf('country', ('spain', 'germany'))]),
        ('country!=spain|germany', [Compare('country', '!=', v) for v in ('spain', 'germany')]),
        ('gsd<=0.5', [Compare('gsd', '<=', 0.5)]),
        ('gsd>1', [Compare('gsd', '>', '1')]),
        ('cloudy=true', [Compare('cloudy', '=', True)]),
        ('gsd=0.3..0.5', [Compare('gsd', '>=', '0.3'), Compare('gsd', '<=', '0.5')]),
        (
            'date=2020-01-01..2021-06',
            [Compare('date', '>=', '2020-01-01'), Compare('date', '<=', '2021-06')],
        ),
        ('date=..2021', [Compare('date', '<=', '2021')]),
        ('date=2021..', [Compare('date', '>=', '2021')]),
        ('path=../a..b.jpg', [Compare('path', '=', '../a..b.jpg')]),
        ('tags=harbor', [Tags('tags', ('harbor',), all=False)]),
        ('tags=harbor|river', [Tags('tags', ('harbor', 'river'), all=False)]),
        ('tags=harbor+river', [Tags('tags', ('harbor', 'river'), all=True)]),
        ('tags="c++"+"a|b"', [Tags('tags', ('c++', 'a|b'), all=True)]),
        ('classes[]=a|b', [Tags('classes', ('a', 'b'), all=False)]),
        ('"tags"=a+b', [Compare('tags', '=', 'a+b')]),
        ('"bbox"=1', [Compare('bbox', '=', '1')]),
        ('"a=b"!="x|y"', [Compare('a=b', '!=', 'x|y')]),
        ('name="\\u00e9 \\" \\n"', [Compare('name', '=', 'é " \n')]),
        ('name=5" pipe', [Compare('name', '=', '5" pipe')]),
        ('name=""', [Compare('name', '=', '')]),
        ('phone=+49', [Compare('phone', '=', '+49')]),
        ('bbox=2.1,41.3, 2.2,41.4', [Box(2.1, 41.3, 2.2, 41.4)]),
        ('near=24.94,60.17,5e2', [Near(24.94, 60.17, 500)]),
        (f'polygon={TRIANGLE}', [Polygon(((RING,),))]),
        (
            'polygon={"type": "Polygon", "coordinates": [[[2, 41], [3, 41], [3, 42], [2, 41]]]}',
            [Polygon(((RING,),))],
        ),
        ('polygon=MULTIPOLYGON Z(((2 41 9, 3 41 9, 3 42 9, 2 41 9)))', [Polygon(((RING,),))]),
    ],
)
def test_reads_and_writes_back(text: str, expected: list) -> None:
    where = Filter.parse([text])
    assert where.conditions == tuple(expected)
    assert Filter.parse(str(where)) == where


def test_lines_of_a_string_are_conditions() -> None:
    where = Filter.parse('country=spain\n\ngsd<1\n')
    assert where == Filter.parse(['country=spain', 'gsd<1'])
    assert where.names == ['country', 'gsd']
    assert Filter.parse('') == Filter.parse([]) == Filter()


def test_one_of_one_is_the_same_as_equal() -> None:
    assert Filter((AnyOf('a', ('b',)),)) == Filter.parse('a=b')
    assert Tags('tags', ('b',), all=True) == Tags('tags', ('b',), all=False)


def test_numbers_and_bools_are_kept_as_text() -> None:
    assert AnyOf('a', (1, 2.5, 3.0, True, 'x', 1e300)).values[:5] == ('1', '2.5', '3', 'true', 'x')
    for wrong in (float('nan'), float('inf'), None, [1]):
        with pytest.raises(ValueError, match='value'):
            Compare('a', '=', wrong)


@pytest.mark.parametrize(
    'text, named',
    [
        ('', 'NAME=VALUE'),
        ('spain', 'NAME=VALUE'),
        ('=spain', 'NAME=VALUE'),
        ('country~spain', 'operator.*~'),
        ('country==spain', 'operator.*=='),
        ('gsd=<5', 'operator.*=<'),
        ('country=', 'missing'),
        ('country=a||b', 'missing'),
        ('country="a', 'quote'),
        ('country="a"b', 'quote'),
        ('country="\\x"', 'JSON'),
        ('gsd<1|2', '<.*2'),
        ('gsd=2..1', r'2\.\.1'),
        ('gsd=..', r'\.\.'),
        ('tags!=a', 'tags.*!='),
        ('tags=a|b+c', 'any.*all'),
        ('date=yesterday', 'yesterday'),
        ('date=2021-13', '2021-13'),
        ('date=2021-02-30', '2021-02-30'),
        ('date=2021-6', '2021-6'),
        ('date>20210630', '20210630'),
        ('bbox!=1,2,3,4', 'bbox.*!='),
        ('bbox=1,2,3', 'west,south,east,north'),
        ('bbox=1,2,3,nan', 'west,south,east,north'),
        ('bbox=1,3,2,2', '3.*2'),
        ('bbox=1,-91,2,2', '-91'),
        ('bbox=1,0,361,2', '361'),
        ('near=1,2', 'lon,lat,meters'),
        ('near=1,2,-3', '-3'),
        ('near=1,91,3', '91'),
        ('near=1,2,1e999', 'lon,lat,meters'),
        ('polygon=circle', 'WKT'),
        ('polygon={"type": "Polygon"}', 'GeoJSON'),
        ('polygon={"type": 5}', 'GeoJSON'),
        ('polygon=POINT(1 2)', 'Point'),
        ('polygon=POLYGON EMPTY', 'empty'),
        (
            'polygon=GEOMETRYCOLLECTION(POLYGON((0 0,1 0,1 1,0 0)), LINESTRING(0 0,1 1))',
            'LineString',
        ),
        ('polygon=POLYGON((0 0,1 1,1 0,0 1,0 0))', r'Self-intersection.*0\.5 0\.5'),
        ('polygon=POLYGON((0 0,1 1,0 0,1 1,0 0))', 'three'),
        ('polygon=POLYGON((0 0,1 0,1 1))', 'closed'),
        ('polygon=POLYGON((0 0,9 0,9 9,0 0),(20 20,21 20,21 21,20 20))', 'Hole'),
        ('polygon=POLYGON((0 0,1 0,1 95,0 0))', '95'),
        ('polygon=POLYGON((0 0,500 0,1 1,0 0))', '500'),
        ('polygon=POLYGON((-200 0,200 0,1 1,-200 0))', 'wider'),
        ('polygon=@area.geojson', 'file'),
        ('polygon=' + 'GEOMETRYCOLLECTION(' * 99999, 'brackets'),
        ('polygon={"type":"GeometryCollection","geometries":[' * 99999, 'brackets'),
        ('"' + 'a' * 99999, 'NAME=VALUE'),
        (' ' * 99999, 'NAME=VALUE'),  # these four took hours with a careless pattern
        ('a' + ' ' * 99999, 'NAME=VALUE'),
        ('a<"' + ' ' * 99999 + '"b', 'quote'),
        ('date=' + '1' * 99999 + '..x', 'a date is'),
    ],
)
def test_says_what_is_wrong(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        Filter.parse(['country=spain', text])
    assert repr(text)[:60] in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_condition_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match='int'):
        Filter.parse([5])
    with pytest.raises(ValueError, match='operator'):
        Compare('a', 'like', 'b')
    with pytest.raises(ValueError, match='none'):
        AnyOf('a', ())
    with pytest.raises(ValueError, match='none'):
        Polygon(())
    with pytest.raises(ValueError, match="'harbor'"):
        Tags('tags', 'harbor', all=False)


def test_reads_a_polygon_from_a_file_only_where_allowed(tmp_path: Path) -> None:
    path = tmp_path / 'area.geojson'
    shape = dict(type='Polygon', coordinates=[[[2, 41], [3, 41], [3, 42], [2, 41]]])
    features = [dict(type='Feature', properties={}, geometry=shape)] * 2
    path.write_text(json.dumps(dict(type='FeatureCollection', features=features), indent=2))
    where = Filter.parse([f'polygon=@{path}'], files=True)
    assert where.conditions == (Polygon(((RING,), (RING,))),)
    assert '@' not in str(where)
    with pytest.raises(ValueError, match='file'):
        Filter.parse([f'polygon=@{path}'])
    with pytest.raises(ValueError, match='missing.wkt'):
        Filter.parse([f'polygon=@{tmp_path}/missing.wkt'], files=True)


ALPHABET = [*'aB70.- |+"\'\\=!<>~[]\n\t\r\u2028東\ud800,@{', '..', '[]', 'tags', 'near', 'bbox']
ALPHABET += ['true', '2021', '2021-06']


def test_whatever_is_written_is_read_back() -> None:
    rng = random.Random(0)

    def text() -> str:
        return ''.join(rng.choices(ALPHABET, k=rng.randint(1, 6)))

    for _ in range(3000):
        name, values = text(), tuple(text() for _ in range(rng.randint(2, 4)))
        condition = rng.choice(
            [
                Compare(
                    name, rng.choice(['=', '!=', '<', '<=', '>', '>=']), rng.choice(['', text()])
                ),
                AnyOf(name, values),
                Tags(name, values, all=rng.random() < 0.5),
                Box(
                    rng.uniform(-360, 360), -rng.random(), rng.uniform(-360, 360), 90 * rng.random()
                ),
                Near(rng.uniform(-360, 360), rng.uniform(-90, 90), 10 ** rng.uniform(-9, 7)),
            ]
        )
        where = Filter((condition, Compare('last', '=', '1')))
        assert Filter.parse(str(where)) == where


def test_any_text_is_read_or_refused() -> None:
    rng = random.Random(1)
    starts = ['', 'a=', 'tags=', 'date=', 'bbox=', 'near=', 'polygon=', 'polygon=POLYGON((', 'a<']
    for _ in range(3000):
        text = rng.choice(starts) + ''.join(rng.choices(ALPHABET, k=rng.randint(0, 8)))
        try:
            where = Filter.parse([text])
        except ValueError as error:
            assert str(error).startswith('cannot read the filter')
        else:
            assert Filter.parse(str(where)) == where


def test_names_that_no_item_has_are_refused() -> None:
    where = Filter.parse(['country=spain', 'near=1,2,3'])
    where.check_names(['country', 'lon', 'lat', 'more'])
    with pytest.raises(ValueError, match="'country'.*'contry'"):
        where.check_names(['contry', 'lon', 'lat'])
    with pytest.raises(ValueError, match='no item has a place.*GeoTIFF'):
        where.check_names(['lon', 'country'])
    with pytest.raises(ValueError, match="'lat'.*country, lon"):
        Filter.parse('lat>60').check_names(['lon', 'country'])
