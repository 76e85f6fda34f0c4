"""Locating by command line: what is written, what is kept, and what is refused before the work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.curation.stages.test_tile_stage import noise, write_raster
from tests.runs import CONFIGS, reset_mmengine_state

rasterio = pytest.importorskip('rasterio')
CONFIG = CONFIGS / 'urbancross_finland_no-segments.py'


@pytest.fixture
def call(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    def run(tool: str, *arguments: object) -> tuple[int, str]:
        reset_mmengine_state()
        torch.manual_seed(0)  # the weights
        options = ('--sample', '--device', 'cpu', '--scales', '64', '96')
        return call_tool(tool, CONFIG, 'none', *arguments, *options)

    return run


@pytest.fixture
def tif(tmp_path: Path) -> Path:
    write_raster(tmp_path / 'city.tif', noise(150, 200))
    return tmp_path / 'city.tif'


@pytest.mark.parametrize('mode', ['windows', 'coarse-to-fine', 'dense'])
def test_every_query_has_its_files(call: Callable, tif: Path, tmp_path: Path, mode: str) -> None:
    Image.fromarray(noise(32, 32).transpose(1, 2, 0)).save(tmp_path / 'Tile 1.png')
    queries = ('A road, with houses!', 'a road with houses', tmp_path / 'Tile 1.png')
    arguments = ('locate', tif, *queries, '--out', tmp_path / 'out', '--mode', mode)
    code, printed = call(*arguments)
    assert code == 0 and '200 x 150 pixels' in printed and 'lon, lat 15.0' in printed
    names = ['a-road-with-houses', 'a-road-with-houses_2', 'tile-1']
    ends = ('.png', '.tif', '_peaks.geojson', '_regions.geojson')
    found = {path.name for path in (tmp_path / 'out').iterdir()}
    assert found == {name + end for name in names for end in ends}
    first, second, image = (
        rasterio.open(tmp_path / 'out' / f'{name}.tif').read(1) for name in names
    )
    assert np.array_equal(first, second) and not np.allclose(first, image)
    peaks = json.loads((tmp_path / 'out' / 'tile-1_peaks.geojson').read_text())
    assert peaks['features'][0]['properties']['score'] == pytest.approx(
        float(image.max()), abs=1e-5
    )
    assert '0 encoded now' not in printed
    assert '0 encoded now' in call(*arguments)[1]


def test_options_reach_the_map(call: Callable, tif: Path, tmp_path: Path) -> None:
    kept = ('--out', tmp_path / 'out', '--cache', tmp_path / 'kept')
    options = ('--peaks', '2', '--min-distance', '5', '--threshold', '1', '--bands', '3', '2', '1')
    code, printed = call('locate', tif, 'a road', *kept, *options)
    assert code == 0 and list((tmp_path / 'kept').glob('city.tif.*.windows'))
    assert list(tmp_path.glob('city.tif*')) == [tif]
    peaks, regions = (
        json.loads((tmp_path / 'out' / f'a-road_{what}.geojson').read_text())['features']
        for what in ('peaks', 'regions')
    )
    assert len(peaks) == 2 and len(regions) == 1
    known = regions[0]['properties']
    assert known['threshold'] == known['peak'] == known['score'] == peaks[0]['properties']['score']


def test_a_raster_without_a_position_says_so(call: Callable, tmp_path: Path) -> None:
    Image.fromarray(noise(150, 200).transpose(1, 2, 0)).save(tmp_path / 'plain.tif')
    code, printed = call('locate', tmp_path / 'plain.tif', 'a road', '--out', tmp_path / 'out')
    assert code == 0 and 'columns and rows' in printed and 'lon, lat' not in printed


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['{}/no.tif', 'a road'], 'no.tif'),
        (['{}/city.tif', 'no/such.jpg'], 'no/such.jpg'),
        (['{}/city.tif', ''], 'query'),
        (['{}/city.tif', 'a', '--peaks', '0'], '--peaks'),
        (['{}/city.tif', 'a', '--batch-size', '0'], '--batch-size'),
        (['{}/city.tif', 'a', '--threshold', '2'], '--threshold must be from 0 to 1, got 2'),
        (['{}/city.tif', 'a', '--threshold', 'nan'], '--threshold'),
        (['{}/city.tif', 'a', '--min-distance', '-1'], '--min-distance must be above 0, got -1'),
        (['{}/city.tif', 'a', '--min-distance', 'nan'], '--min-distance'),
        (['{}/city.tif', 'a', '--mode', 'deep'], 'deep'),
        (['{}/city.tif', 'a', '--out', '{}/city.tif'], 'city.tif'),
    ],
)
def test_refused_before_the_work(
    call: Callable,
    tif: Path,
    tmp_path: Path,
    arguments: list[str],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr('urbancross_mm.inference.embedder.Embedder', None)
    code, printed = call('locate', *(argument.format(tmp_path) for argument in arguments))
    assert code == 2 and named in printed and 'Traceback' not in printed


@pytest.mark.parametrize(
    ('queries', 'names'),
    [
        (['a_2', 'a', 'A!'], ['a_2', 'a', 'a_3']),
        (['a', 'a', 'a_2', 'a'], ['a', 'a_2', 'a_2_2', 'a_3']),
        (['?', '!', Path('x/Query.png')], ['query', 'query_2', 'query_3']),
        (['b' * 70, 'b' * 80], ['b' * 60, 'b' * 60 + '_2']),
    ],
)
def test_no_two_queries_have_one_name(load_tool: Callable, queries: list, names: list[str]) -> None:
    assert load_tool('locate').names_of(queries) == names


def annotate(folder: Path, **changes: object) -> Path:
    Image.fromarray(noise(150, 200).transpose(1, 2, 0)).save(folder / '0.jpg')
    square = [[20, 20], [90, 20], [90, 90], [20, 90]]
    entry = dict(caption='a road.\n', jpg_name='0.jpg', points=[square])
    entries = [entry, {**entry, 'caption': 'houses', **changes}]
    (folder / 'anno.json').write_text(json.dumps(entries))
    return folder / 'anno.json'


def test_the_published_test_set_is_scored(call: Callable, tmp_path: Path) -> None:
    arguments = ('--anno', annotate(tmp_path), '--images', tmp_path, '--queries')
    code, printed = call('analysis_tools/evaluate_localization', *arguments)
    rows = [line.split(' | ') for line in printed.splitlines() if line.startswith('| ')][2:]
    assert code == 0 and [row[0] for row in rows] == ['| a road.', '| houses', '| 2 queries']
    scores = [[float(value.strip(' |')) for value in row[1:]] for row in rows]
    assert np.allclose(np.mean(scores[:2], axis=0), scores[2], atol=1e-4)
    for rsu, ras, rda, rmi in scores:
        assert rmi == pytest.approx(0.4 * rsu + 0.35 * (1 - ras) + 0.25 * rda, abs=2e-4)
    assert not list(tmp_path.glob('*.windows'))


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(jpg_name='1.jpg'), '1.jpg'),
        (dict(jpg_name='../0.jpg'), '../0.jpg'),
        (dict(points=[]), 'query 1'),
        (dict(caption=None), 'caption'),
    ],
)
def test_annotations_that_are_wrong_are_named(
    call: Callable, tmp_path: Path, changes: dict, named: str
) -> None:
    arguments = ('--anno', annotate(tmp_path, **changes), '--images', tmp_path)
    code, printed = call('analysis_tools/evaluate_localization', *arguments)
    assert code == 2 and named in printed and 'Traceback' not in printed
