"""Sheets of a folder of images, their list, and runs that go on."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.segmenting import CONFIG, NARROW, WITHOUT
from urbancross_mm.datasets.rsitmd_ss import METAINFO

TOOL = 'visualization/segmentation_overlay'


@pytest.fixture
def call(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    options = [f'{key}={value}' for key, value in NARROW.items()]
    return partial(
        call_tool, TOOL, CONFIG, 'none', '--sample', '--device', 'cpu', '--cfg-options', *options
    )


@pytest.fixture
def folder(in_sample_dir: Path, tmp_path: Path) -> Path:
    """Three images, two of them of one name."""
    some = sorted(Path('data/sample/rsitmd/images').iterdir())
    (tmp_path / 'tiles/more').mkdir(parents=True)
    for source, name in zip(some, ('a.tif', 'a.png', 'more/b.tif')):
        Image.open(source).save(tmp_path / 'tiles' / name)
    return tmp_path / 'tiles'


def test_sheets_and_list(call, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    code, text = call('--images', folder, '--out', out, '--batch-size', 2)
    assert code == 0 and '3 sheets (0 were there)' in text
    sheets = {path.relative_to(out).as_posix() for path in out.rglob('*.png')}
    assert sheets == {'a.tif.png', 'a.png.png', 'more/b.tif.png'}
    shares = json.loads((out / 'classes.json').read_text())
    assert list(shares) == ['a.png', 'a.tif', 'more/b.tif']
    for classes in shares.values():
        assert sum(classes.values()) == pytest.approx(1)
    assert {name for classes in shares.values() for name in classes} < set(METAINFO['classes'])
    assert Image.open(out / 'a.tif.png').width > 3 * 320


def test_a_stopped_run_goes_on(call, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    call('--images', folder, '--out', out)
    listed = (out / 'classes.json').read_text()
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*.png')}
    (out / 'classes.json').unlink()
    (out / 'a.png.png').unlink()
    code, text = call('--images', folder, '--out', out)
    assert code == 0 and '3 sheets (2 were there)' in text
    assert (out / 'classes.json').read_text() == listed
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {'a.png.png'}
    assert '(0 were there)' in call('--images', folder, '--out', out, '--overwrite')[1]


def test_sheets_of_other_weights_are_drawn_again(call, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    call('--images', folder, '--out', out)
    other = ('model.pyramid.attention=None', '--images', folder, '--out', out)
    assert '(0 were there)' in call(*other)[1]
    (out / 'a.tif.png').write_bytes(b'no image')
    assert '(2 were there)' in call(*other)[1]


def test_mistakes_are_named(call, call_tool, folder: Path, tmp_path: Path) -> None:
    without = ('--sample', '--device', 'cpu', '--images', folder, '--out', tmp_path / 'out')
    code, text = call_tool(TOOL, WITHOUT, 'none', *without)
    assert code == 2 and 'decode_head' in text.splitlines()[-1]
    code, text = call('--images', folder, '--out', folder / 'out')
    assert code == 2 and str(folder / 'out') in text
    code, text = call('--images', folder, '--out', tmp_path / 'out', '--batch-size', 0)
    assert code == 2 and '--batch-size' in text
    shutil.rmtree(folder)
    code, text = call('--images', folder, '--out', tmp_path / 'out')
    assert code == 2 and str(folder) in text
