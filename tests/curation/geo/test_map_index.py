"""Long map features, and tiles that touch a part of them."""

import numpy as np
import pytest

from urbancross_mm.curation.geo.map_index import PIECE, MapIndex, clip, in_pieces

shapely = pytest.importorskip('shapely')


def wave(count: int, radius: float = 1.0) -> np.ndarray:
    """A closed coast with many bays."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    reach = radius * (1 + 0.05 * np.sin(angle * 37))
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1)


COAST = shapely.Polygon(wave(20000), [wave(3000, 0.4)])


def test_pieces_are_small_and_together_the_whole() -> None:
    pieces = in_pieces(COAST)
    assert max(map(shapely.get_num_coordinates, pieces)) <= PIECE
    assert sum(piece.area for piece in pieces) == pytest.approx(COAST.area, rel=1e-9)
    line = shapely.LineString(wave(20000))
    assert sum(piece.length for piece in in_pieces(line)) == pytest.approx(line.length, rel=1e-9)
    points = shapely.MultiPoint(wave(1000))
    assert sum(map(shapely.get_num_coordinates, in_pieces(points))) == 1000
    teeth = np.arange(0, 10, 0.01)
    comb = shapely.Polygon(
        [
            (0, -1),
            *(
                (x + step, y)
                for x in teeth
                for step, y in ((0, 0), (0, 20), (0.005, 20), (0.005, 0))
            ),
            (10, -1),
        ]
    )
    pieces = in_pieces(comb)
    assert max(map(shapely.get_num_coordinates, pieces)) <= PIECE
    assert sum(piece.area for piece in pieces) == pytest.approx(comb.area)
    same = shapely.LineString(np.zeros((1000, 2)))
    assert in_pieces(same) == [same]  # nothing to cut


def test_pieces_keep_what_lies_along_their_sides() -> None:
    # A square of 4000 vertices, and both lines through its middle.
    side = np.linspace(0, 1, 1001)
    lines = shapely.MultiLineString(
        [np.stack([side, np.full(1001, level)], 1) for level in (0, 0.5, 1)]
        + [np.stack([np.full(1001, level), side], 1) for level in (0, 0.5, 1)]
    )
    assert sum(piece.length for piece in in_pieces(lines)) == pytest.approx(6)


@pytest.mark.parametrize('kind', ['area', 'line'])
def test_a_tile_sees_the_same_with_and_without_pieces(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = COAST if kind == 'area' else shapely.LineString(wave(20000))
    tiles = [
        (x, y, x + 0.11, y + 0.09)
        for x in np.arange(-1.2, 1.2, 0.26)
        for y in np.arange(-1.2, 1.2, 0.21)
    ]
    pieces = MapIndex([shape], [('coast',)])
    monkeypatch.setattr('urbancross_mm.curation.geo.map_index.in_pieces', lambda one: [one])
    whole = MapIndex([shape], [('coast',)])
    seen = 0
    for tile in tiles:
        one, other = pieces.look_up(tile), whole.look_up(tile)
        assert len(one) == len(other)
        for result, expected in zip(one, other):
            exact = shape.intersection(shapely.box(*tile))
            assert result.share == pytest.approx(expected.share, abs=2e-6)
            assert result.share == pytest.approx(exact.area / 0.11 / 0.09, abs=2e-6)
            assert result.length == pytest.approx(expected.length, abs=2e-6)
            assert result.distance == pytest.approx(expected.distance, abs=2e-6)
        seen += len(one)
    assert 20 < seen < len(tiles)
    assert pieces.touched(tiles) == whole.touched(tiles) == 1
    assert pieces.touched([]) == pieces.touched([(5, 5, 6, 6)]) == 0


def test_no_tile_costs_the_whole_length(monkeypatch: pytest.MonkeyPatch) -> None:
    index = MapIndex([shapely.Polygon(wave(200_000))], [('boundary',)])
    costs = []
    monkeypatch.setattr(
        'urbancross_mm.curation.geo.map_index.clip',
        lambda piece, box: costs.append(shapely.get_num_coordinates(piece)) or clip(piece, box),
    )
    for tile in ((0.99, 0, 1.0, 0.01), (0, 0, 0.01, 0.01), (-1, 0, -0.99, 0.01)):
        costs.clear()
        index.look_up(tile)
        assert 0 < sum(costs) < 20_000


def test_what_only_touches_a_tile_is_still_found() -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    index = MapIndex(
        [shapely.box(1, 0, 2, 1), shapely.Point(0, 0.5), shapely.LineString([(0, 1), (1, 1)])],
        [('a',), ('b',), ('c',)],
    )
    assert [
        (item.phrases, item.share, item.length, item.distance) for item in index.look_up(box)
    ] == [
        (('a',), 0, 1, 0.5),
        (('b',), 0, 0, 0.5),
        (('c',), 0, 1, 0.5),
    ]


def test_a_clip_that_crosses_itself_is_made_the_slow_way() -> None:
    # Two teeth that leave the box: cut off, they hang together by a line along its side.
    comb = shapely.Polygon([(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)])
    for box in ((0, 1, 3, 2), (-1, 1, 4, 4), (0.5, 0.5, 2.5, 1)):
        inside = clip(comb, box)
        assert inside.is_valid
        assert inside.area == pytest.approx(comb.intersection(shapely.box(*box)).area)
