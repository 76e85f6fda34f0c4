"""Building an index, searching it and classifying, by command line on the sample."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.curation.stages.test_tile_stage import noise, write_raster
from tests.runs import CONFIGS, reset_mmengine_state

CONFIG = CONFIGS / 'urbancross_finland_no-segments.py'
IMAGES = Path('data/sample/urbancross/Finland/images')


@pytest.fixture
def tool(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    def call(name: str, *arguments: object) -> tuple[int, str]:
        reset_mmengine_state()
        torch.manual_seed(0)  # the weights
        return call_tool(name, CONFIG, 'none', '--sample', '--device', 'cpu', *arguments)

    return call


def parsed(printed: str, start: str) -> Any:
    """The JSON on stdout; what was printed to stderr follows it."""
    return json.JSONDecoder().raw_decode(printed[printed.index(start) :])[0]


def best_line(printed: str) -> str:
    return next(line for line in printed.splitlines() if line.startswith('   1  '))


@pytest.fixture
def tiles(in_sample_dir: Path, tmp_path: Path) -> Path:
    folder = tmp_path / 'city'
    folder.mkdir()
    for path in sorted(IMAGES.glob('*.jpg'))[:6]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def index(tool: Callable, tiles: Path, tmp_path: Path) -> Path:
    table = tmp_path / 'table.csv'
    names = sorted(path.name for path in tiles.iterdir())
    rows = [
        f'{name},{2 + n},{41 + n},{"spain" if n < 3 else "italy"}' for n, name in enumerate(names)
    ]
    table.write_text('\n'.join(['image,lon,lat,country', *rows]) + '\n')
    location = tmp_path / 'city.index'
    code, printed = tool(
        'build_index', '--images', tiles, '--index', location, '--attributes', table
    )
    assert code == 0 and '6 added' in printed and str(location) in printed
    return location


def test_an_index_answers_as_the_folder_does(tool: Callable, tiles: Path, index: Path) -> None:
    _, by_index = tool('search', '--index', index, 'a road', '--topk', '9', '--format', 'json')
    _, by_folder = tool('search', '--images', tiles, 'a road', '--topk', '9', '--format', 'json')
    first, second = (parsed(text, '[\n') for text in (by_index, by_folder))
    assert [hit['img_path'] for hit in first] == [hit['img_path'] for hit in second]
    assert len(first) == 6 and first[0]['id'] == f'city/{Path(first[0]["img_path"]).name}'
    for one, other in zip(first, second):
        assert one['score'] == pytest.approx(other['score'], abs=1e-4)


def test_conditions_pages_and_files(tool: Callable, index: Path, tmp_path: Path) -> None:
    call = ('search', '--index', index, 'a road', '--where', 'country=spain')
    code, printed = tool(*call, '--out', tmp_path / 'all.csv')
    rows = list(csv.DictReader((tmp_path / 'all.csv').read_text().splitlines()))
    assert code == 0 and len(rows) == 3 and {row['country'] for row in rows} == {'spain'}
    assert f'results: {tmp_path / "all.csv"}' in printed
    assert sum(line.count('.jpg  lon, lat ') for line in printed.splitlines()) == 3  # positions
    pages = []
    for offset in range(3):
        code, printed = tool(*call, '--topk', '1', '--offset', offset, '--format', 'geojson')
        assert code == 0
        pages += parsed(printed, '{"type"')['features']
    assert [f['properties']['id'] for f in pages] == [row['id'] for row in rows]
    assert pages[0]['geometry']['type'] == 'Point'
    code, printed = tool(*call, '--where', 'near=4,43,1000', '--hide-duplicates')
    assert len([line for line in printed.splitlines() if '.jpg' in line]) == 1
    code, _ = tool(*call, '--out', tmp_path / 'grid.png')
    assert code == 0 and Image.open(tmp_path / 'grid.png').width > 300


def test_terms_and_marks(tool: Callable, tiles: Path, index: Path) -> None:
    names = sorted(path.name for path in tiles.iterdir())
    best = ('--topk', '1')

    def first(*arguments: object) -> str:
        code, printed = tool('search', '--index', index, *best, *arguments)
        assert code == 0, printed
        return best_line(printed)

    assert names[2] in first('--like', f'city/{names[2]}')
    assert names[4] in first('--like', tiles / names[4])
    assert names[3] in first(tiles / names[3])
    averaged = first('a road', 'a lake', '--average')
    code, printed = tool('search', '--index', index, 'a road', 'a lake', *best)
    assert code == 0 and len([line for line in printed.splitlines() if '.jpg' in line]) == 2
    assert averaged
    marked = first('a road', '--right', f'city/{names[5]}', '--wrong', f'city/{names[0]}')
    assert marked and first('a road', '--minus', 'a lake', '--template', 'an aerial image of {}')


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['a', '--images', 'x', '--index', 'y'], '--index'),
        (['a'], '--index'),
        (['--index', 'nothing'], '--like'),
        (['a', '--index', 'nothing'], 'nothing'),
        (['a', '--index', 'x', '--where', 'country'], 'country'),
        (['a', '--index', 'x', '--offset', '-1'], '--offset'),
        (['a', '--index', 'x', '--out', 'y.txt'], 'y.txt'),
        (['a', '--index', 'x', '--gallery', 'g'], '--gallery'),
        (['a', '--index', 'x', '--template', 'photo'], "'photo'"),
    ],
)
def test_what_a_search_refuses(tool: Callable, arguments: list[str], named: str) -> None:
    code, printed = tool('search', *arguments)
    assert code == 2 and named in printed and 'Traceback' not in printed


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['--images', 'nowhere'], "'nowhere'"),
        (['--images', str(IMAGES), '--attributes', 'none.csv'], 'none.csv'),
        (['--images', str(IMAGES), '--tile-size', '0'], 'tile_size'),
        (['--images', str(IMAGES), '--duplicates-above', '2'], '2'),
    ],
)
def test_what_a_build_refuses(tool: Callable, arguments: list, named: str, tmp_path: Path) -> None:
    code, printed = tool('build_index', '--index', tmp_path / 'index', *arguments)
    assert code == 2 and named in printed and 'Traceback' not in printed
    assert not (tmp_path / 'index').exists()


def test_windows_of_a_raster_are_found_and_drawn(tool: Callable, tmp_path: Path) -> None:
    write_raster(tmp_path / 'city.tif', noise(64, 96))
    location = tmp_path / 'city.index'
    build = ('build_index', '--images', tmp_path / 'city.tif', '--index', location)
    code, printed = tool(*build, '--tile-size', '32')
    assert code == 0 and '6 added' in printed
    out = tmp_path / 'grid.png'
    code, printed = tool('search', '--index', location, 'a road', '--topk', '2', '--out', out)
    assert code == 0 and '[' in printed and out.is_file()
    code, printed = tool('search', '--index', location, 'a road', '--format', 'geojson')
    features = parsed(printed, '{"type"')['features']
    assert features[0]['geometry']['type'] == 'Polygon'
    assert features[0]['properties']['window'][2:] == [32, 32]
    # The best window is the one that an image of its own pixels finds.
    code, printed = tool('search', '--index', location, '--like', 'city/city.tif#32,0,32,32')
    assert '[32,0,32,32]' in best_line(printed)


def test_scenes_are_classified(tool: Callable, tiles: Path, tmp_path: Path) -> None:
    names = sorted(tiles.iterdir())
    for n, path in enumerate(names):
        folder = tmp_path / 'scenes' / ('a road' if n % 2 else 'a lake')
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    out = tmp_path / 'classes.csv'
    call = ('classify', '--images', tmp_path / 'scenes', '--out', out)
    code, printed = tool(*call, '--template', 'an aerial image of {}')
    assert code == 0 and 'accuracy' in printed and 'a road' in printed and '6 images' in printed
    rows = list(csv.DictReader(out.read_text().splitlines()))
    right = sum(row['class'] == row['label'] for row in rows)
    assert len(rows) == 6 and f'accuracy {100 * right / 6:.2f}' in printed
    few = tmp_path / 'few'
    for name in ('a road', 'a lake'):
        shutil.copytree(tmp_path / 'scenes' / name, few / name)
    code, printed = tool(*call, '--examples', few, '--text-weight', '0.5')
    assert code == 0 and 'accuracy' in printed
    for arguments, named in (
        (['--images', 'x', '--out', 'a.txt'], 'a.txt'),
        (['--images', str(tiles)], '--classes'),
        (['--images', str(tiles), '--text-weight', '0.5'], '--text-weight'),
        (['--index', 'nothing', '--classes', 'a', 'b'], 'nothing'),
    ):
        code, printed = tool('classify', *arguments)
        assert code == 2 and named in printed
