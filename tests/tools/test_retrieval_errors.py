"""Errors of a test set: counts, tables and sheets."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.segmenting import CONFIG, NARROW, WITHOUT
from urbancross_mm.utils.setup_env import reset_mmengine_state

TOOL = 'analysis_tools/retrieval_errors'


@pytest.fixture
def call(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    reset_mmengine_state()
    return partial(call_tool, TOOL)


def test_counts_tables_and_sheets(call, tmp_path: Path) -> None:
    out = tmp_path / 'errors'
    small = ('--sample', '--device', 'cpu', '--out', out, '--topk', 4, '--worst', 2)
    code, text = call(WITHOUT, 'none', *small)
    assert code == 0, text
    content = json.loads((out / 'errors.json').read_text())
    total = content['images']
    assert f'{total} images, {content["captions"]} captions' in text
    assert sum(content['i2t']['right'].values()) == total > 0
    assert list(content['i2t']['right']) == ['0', '1', '2', '3', '4']
    for name, size in (('i2t', total), ('t2i', content['captions'])):
        rows = list(csv.DictReader((out / f'{name}.csv').open()))
        ranks = sorted((float(row['rank']) for row in rows), reverse=True)
        assert len(rows) == size
        assert [record['rank'] for record in content['worst'][name]] == ranks[:2]
        assert len(content['worst'][name][0]['found']) == 4
    assert sorted(path.name for path in out.glob('*.png')) == [
        'i2t_000.png',
        'i2t_001.png',
        't2i_000.png',
        't2i_001.png',
    ]
    # The image itself and four that were found.
    assert Image.open(out / 't2i_000.png').width > 5 * 160


def test_no_class_map_is_kept(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from urbancross_mm.inference import retrieval_errors

    seen = []
    check = retrieval_errors.RetrievalErrors.__init__

    def noted(self, samples, *rest) -> None:
        seen.extend(samples)
        check(self, samples, *rest)

    monkeypatch.setattr(retrieval_errors.RetrievalErrors, '__init__', noted)
    options = [f'{key}={value}' for key, value in NARROW.items()]
    small = ('--sample', '--device', 'cpu', '--out', tmp_path / 'out', '--worst', 0)
    code, text = call(CONFIG, 'none', *small, '--cfg-options', *options)
    assert code == 0 and ' 0 sheets' in text, text
    assert seen and not any('pred_sem_seg' in sample for sample in seen)
    assert seen[0].image_embeds.shape == (256,)


def test_missing_images_leave_their_sheets_out(call, load_tool, tmp_path: Path) -> None:
    record = dict(img_id='a', img_path='gone.png', rank=2.0, captions=['x'], found=[])
    said = load_tool(TOOL).draw_sheets(dict(i2t=[record], t2i=[]), tmp_path)
    assert said.startswith('0 sheets, 1 without')


@pytest.mark.parametrize('option', ['--topk', '--worst', '--batch-size'])
def test_mistakes_are_named(call, option: str) -> None:
    code, text = call(WITHOUT, 'none', option, -1)
    assert code == 2 and option in text and '-1' in text
