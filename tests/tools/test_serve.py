"""Serving by command line: what is refused before the work, and an app that answers."""

from __future__ import annotations

import json
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

pytest.importorskip('fastapi', reason='the page needs urbancross-mm[serve]')
pytest.importorskip('rio_tiler', reason='the page needs urbancross-mm[serve]')

from fastapi.testclient import TestClient  # noqa: E402
from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: E402

from tests.runs import CONFIGS, reset_mmengine_state  # noqa: E402
from tests.serving.fakes import fake_raster  # noqa: E402

CONFIG = CONFIGS / 'urbancross_finland_no-segments.py'
IMAGES = Path('data/sample/urbancross/Finland/images')


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict]]:
    """What would have been served, and how."""
    import uvicorn

    runs: list[tuple[Any, dict]] = []
    monkeypatch.setattr(uvicorn, 'run', lambda app, **options: runs.append((app, options)))
    monkeypatch.delenv('URBANCROSS_TOKEN', raising=False)
    # Whatever else runs on this machine.
    monkeypatch.setattr('socket.socket.bind', lambda self, address: None)
    return runs


@pytest.fixture
def index(call_tool: Callable, in_sample_dir: Path, tmp_path: Path) -> Path:
    import shutil

    reset_mmengine_state()
    (tmp_path / 'tiles').mkdir()
    for path in sorted(IMAGES.glob('*.jpg'))[:3]:
        shutil.copy(path, tmp_path / 'tiles')
    torch.manual_seed(0)  # the weights
    arguments = ('--images', tmp_path / 'tiles', '--index', tmp_path / 'i.index')
    code, printed = call_tool('build_index', CONFIG, 'none', '--sample', *arguments)
    assert code == 0, printed
    return tmp_path / 'i.index'


def test_two_models_and_a_raster_are_served(
    call_tool: Callable, index: Path, tmp_path: Path, served: list
) -> None:
    raster = fake_raster(tmp_path / 'city.tif')
    torch.manual_seed(0)
    code, printed = call_tool(
        'serve', CONFIG, 'none', '--sample', '--index', index, '--name', 'one',
        '--compare', CONFIG, 'none', '--compare-index', index, '--raster', raster, raster,
        '--scales', '128', '256', '--mode', 'coarse-to-fine', '--bands', '3', '2', '1',
        '--cache', tmp_path / 'kept',
    )  # fmt: skip
    assert code == 0 and 'http://127.0.0.1:8000/' in printed
    ((app, options),) = served
    assert options['host'] == '127.0.0.1' and options['port'] == 8000
    # Only with this reader of requests the bound of headers is in force.
    assert issubclass(options['http'], H11Protocol) and options['h11_max_incomplete_event_size']
    assert options['limit_concurrency'] and options['timeout_graceful_shutdown']
    with TestClient(app, base_url='http://127.0.0.1') as client:
        info = client.get('/api/info').json()
        assert [model['name'] for model in info['models']] == ['one', CONFIG.stem]
        assert [entry['name'] for entry in info['rasters']] == ['city', 'city-1']
        for name in ('one', CONFIG.stem):
            reply = client.get('/api/search', params=dict(texts='a road', model=name)).json()
            assert len(reply['hits']) == 3
            assert client.get('/' + reply['hits'][0]['image']).status_code == 200
        heat = client.post('/api/rasters/city/locate', json=dict(text='a road'))
        assert heat.status_code == 200, heat.text
    (kept,) = (tmp_path / 'kept').glob('*/windows.json')
    settings = json.loads(kept.read_text())['settings']
    assert settings['bands'] == [3, 2, 1] and '128' in str(settings)
    assert not list(tmp_path.glob('*.windows'))  # beside the raster


def test_a_token_is_asked_for(
    call_tool: Callable, index: Path, served: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, 'open', opened.append)
    monkeypatch.setattr('threading.Timer', lambda _, call, args: Now(call, args))
    monkeypatch.setenv('URBANCROSS_TOKEN', 'correct-horse-battery')
    torch.manual_seed(0)
    code, printed = call_tool(
        'serve', CONFIG, 'none', '--sample', '--index', index, '--host', '0.0.0.0', '--open', '?q=x'
    )
    assert code == 0 and 'correct-horse' not in printed
    with TestClient(served[0][0], base_url='http://maps.example') as client:
        assert client.get('/api/info').status_code == 401
        headers = {'Authorization': 'Bearer correct-horse-battery'}
        assert client.get('/api/info', headers=headers).status_code == 200
    assert opened == ['http://0.0.0.0:8000/?token=correct-horse-battery&q=x']


class Now:
    """A timer that does not wait."""

    def __init__(self, call: Callable, arguments: list) -> None:
        self.start = lambda: call(*arguments)


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (('--host', '0.0.0.0'), '0.0.0.0'),
        (('--host', '192.168.0.7'), '--no-token'),
        (('--port', '70000'), '70000'),
        (('--compare', 'c.py', 'x.pth'), '--compare-index'),
        (('--raster', 'gone.tif'), 'gone.tif'),
        (('--bands', '0', '1', '2'), '0'),
        (('--token', 'short'), 'no store'),
    ],
)
def test_what_is_refused_before_a_model_is_loaded(
    call_tool: Callable, tmp_path: Path, served: list, arguments: tuple, named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr('urbancross_mm.inference.embedder.Embedder', None)
    index = tmp_path / 'none.index'
    code, printed = call_tool('serve', CONFIG, 'none', '--index', index, *arguments)
    assert code == 2 and not served
    assert named in printed or (named == 'no store' and 'none.index' in printed)
    assert 'Traceback' not in printed


def test_a_port_that_is_taken_is_refused_before_a_model_is_loaded(
    call_tool: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('urbancross_mm.inference.embedder.Embedder', None)
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        code, printed = call_tool(
            'serve', CONFIG, 'none', '--index', tmp_path / 'x', '--port', port
        )
    assert code == 2 and f'port {port}' in printed and 'the page is at' not in printed


def test_equal_names_are_refused(call_tool: Callable, index: Path, served: list) -> None:
    torch.manual_seed(0)
    code, printed = call_tool(
        'serve', CONFIG, 'none', '--sample', '--index', index,
        '--compare', CONFIG, 'none', '--compare-index', index,
    )  # fmt: skip
    assert code == 2 and '--compare-name' in printed and CONFIG.stem in printed


def test_without_the_extra_it_says_what_to_install(
    load_tool: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, 'rio_tiler', None)
    monkeypatch.setattr(sys, 'argv', ['serve', str(CONFIG), 'none', '--index', str(tmp_path)])
    with pytest.raises(ImportError, match=r'pip install urbancross-mm\[serve\]'):
        load_tool('serve').main()
