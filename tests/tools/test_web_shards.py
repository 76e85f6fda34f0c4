"""Shards by command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.tiny import item, write

pytest.importorskip('webdataset')
TOOL = 'dataset_converters/web_shards'


def test_write_and_index(call_tool: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    root = write(tmp_path / 'tiny', [item(name, ['x', 'y']) for name in 'abc'])['data_root']
    annotations, out = Path(root, 'annotations/tiny.json'), tmp_path / 'shards'
    code, printed = call_tool(TOOL, annotations, '--out', out, '--shard-size', 2)
    assert code == 0 and f'{out}: 3 images, 6 captions, 2 shards' in printed
    index = json.loads((out / 'shards.json').read_text())
    assert index['shards'] == {'00000.tar': 2, '00001.tar': 1}
    code, printed = call_tool(TOOL, annotations, '--out', out)
    assert code == 2 and 'shards' in printed and '--force' in printed
    (out / 'shards.json').unlink()
    code, printed = call_tool(TOOL, '--index', out)
    assert code == 0 and f'{out}: 3 images, 2 shards' in printed
    assert json.loads((out / 'shards.json').read_text())['shards'] == index['shards']


def test_what_is_missing(call_tool: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, printed = call_tool(TOOL, tmp_path / 'a.json')
    assert code == 2 and '--index' in printed
    code, printed = call_tool(TOOL, tmp_path / 'a.json', '--out', tmp_path / 'shards')
    assert code == 2 and 'a.json' in printed
    code, printed = call_tool(TOOL, '--index', tmp_path)
    assert code == 2 and f'no shards (*.tar) in {tmp_path}' in printed
