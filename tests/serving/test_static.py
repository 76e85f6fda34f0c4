"""The page is whole and its own: no file comes from elsewhere, none is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from urbancross_mm.serving.app import STATIC

OWN = sorted(path for path in STATIC.iterdir() if path.is_file())
# Names of XML vocabularies, which nobody fetches.
NAMES = 'http://www.w3.org/'


@pytest.mark.parametrize('path', OWN, ids=lambda path: path.name)
def test_no_file_refers_elsewhere(path: Path) -> None:
    text = path.read_text('utf-8').replace(NAMES, '')
    assert not re.search(r'https?:|//[a-z0-9-]+\.[a-z]{2,}|@import', text)
    assert len(text.splitlines()) <= 250


def test_the_page_runs_no_script_of_its_own_text() -> None:
    page = (STATIC / 'index.html').read_text('utf-8')
    assert not re.search(r'<script(?![^>]*\bsrc=)|\son[a-z]+=|javascript:|<style|\sstyle=', page)


def test_every_file_that_is_named_is_there(client: TestClient) -> None:
    page = client.get('/')
    assert page.headers['content-type'].startswith('text/html')
    named = set(re.findall(r'(?:href|src)="(static/[^"]+)"', page.text))
    for path in OWN:
        for other in re.findall(r"from '\./([^']+)'|'(vendor/[^']+)'", path.read_text('utf-8')):
            named.add('static/' + ''.join(other))
    assert {'static/app.js', 'static/vendor/maplibre-gl.mjs', 'static/vendor/land.json'} <= named
    for address in named:
        assert client.get(f'/{address}').status_code == 200, address
    script = client.get('/static/vendor/maplibre-gl.mjs')
    assert script.headers['content-type'].startswith('text/javascript')


def test_every_element_that_a_script_wants_is_in_the_page() -> None:
    page = (STATIC / 'index.html').read_text('utf-8')
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for path in OWN:
        for wanted in re.findall(r"byId\('([^']+)'\)", path.read_text('utf-8')):
            assert wanted in ids, (path.name, wanted)


@pytest.mark.skipif(shutil.which('node') is None, reason='a function of the page needs Node.js')
def test_boxes_on_a_map_that_repeats() -> None:
    """As the page writes them: each longitude once, and the whole globe whole."""
    boxes = {
        '-200, -60, 200, 70': [-180, -60, 180, 70],
        '-180, -90, 180, 90': [-180, -90, 180, 90],
        '10, 1, 20.1234567, 2': [10, 1, 20.123457, 2],
        '170, 1, 180, 2': [170, 1, 180, 2],
        '180, 1, 190, 2': [-180, 1, -170, 2],
        '170, 1, 200, 2': [170, 1, -160, 2],
        '-540, 1, -190, 2': [-180, 1, 170, 2],
    }
    calls = [f'globeBox([{box}])' for box in boxes]
    assert run_script('bounds.js', calls) == list(boxes.values())


@pytest.mark.skipif(shutil.which('node') is None, reason='a function of the page needs Node.js')
def test_the_smallest_box_around_boxes() -> None:
    """Also on both sides of 180 degrees, where its east goes on beyond."""
    cases = {
        '[2, 41, 3, 42], [24, 60, 25, 61]': [2, 41, 25, 61],
        '[179, -18, 179.5, -17], [-179.5, -16, -179, -15]': [179, -18, 181, -15],
        '[-179.5, -16, -179, -15], [179, -18, 179.5, -17]': [179, -18, 181, -15],
        '[179, -18, -179, -17]': [179, -18, 181, -17],
        '[179, -18, -179, -17], [170, 0, 171, 1]': [170, -18, 181, 1],
        '[-170, 0, 170, 1]': [-170, 0, 170, 1],
        '[-180, 0, 180, 1], [3, 0, 4, 5]': [-180, 0, 180, 5],
        '[7, 8, 7, 8]': [7, 8, 7, 8],
        '[-100, 0, -90, 1], [100, 0, 110, 1], [0, 0, 1, 1]': [-100, 0, 110, 1],
    }
    calls = ['boxAround([])', *(f'boxAround([{boxes}])' for boxes in cases)]
    assert run_script('bounds.js', calls) == [None, *cases.values()]


@pytest.mark.skipif(shutil.which('node') is None, reason='a function of the page needs Node.js')
def test_rings_begin_on_the_globe() -> None:
    calls = ['turned([[-190, 1], [-170, 1], [-170, 2]])', 'turned([[530, 1], [550, 1], [540, 2]])',
             'ringAround([170, -20, -170, -10])']  # fmt: skip
    assert run_script('bounds.js', calls) == [
        [[170, 1], [190, 1], [190, 2]],
        [[170, 1], [190, 1], [180, 2]],
        [[170, -20], [190, -20], [190, -10], [170, -10], [170, -20]],
    ]


@pytest.mark.skipif(shutil.which('node') is None, reason='a function of the page needs Node.js')
def test_the_address_of_a_box_by_its_numbers() -> None:
    calls = ["read('?bbox=170,-20,-170,-10').area", "read('?area=bbox=1,2,3,4&bbox=5,6,7,8').area",
             "write(read('?bbox=170,-20,-170,-10'))"]  # fmt: skip
    assert run_script('state.js', calls) == [
        'bbox=170,-20,-170,-10',
        'bbox=1,2,3,4',
        '?area=bbox%3D170%2C-20%2C-170%2C-10',
    ]


def run_script(name: str, calls: list[str]) -> list:
    """What calls of a script's functions give."""
    script = (
        f'{(STATIC / name).read_text("utf-8")}console.log(JSON.stringify([{", ".join(calls)}]));'
    )
    run = ['node', '--input-type=module', '-e', script]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_licenses_come_along() -> None:
    assert 'BSD' in (STATIC / 'vendor' / 'README.md').read_text()
    assert 'MapLibre contributors' in (STATIC / 'vendor' / 'LICENSE.txt').read_text()
