"""What the page says in words: unknown words, lost uploads, examples of the index, and its map."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving.fakes import COLORS, fake_model
from tests.serving.page_browser import (
    HITS,
    MARKS,
    cards,
    open_page,
    playwright,
    serving,
    settle,
    show,
)
from urbancross_mm.inference.stores import StoreItem
from urbancross_mm.serving import live_overview, served_model
from urbancross_mm.serving.served_model import ServedModel
from urbancross_mm.serving.service import Service

pytestmark = MARKS
# On both sides of 180 degrees, and elsewhere.
ISLANDS = dict(west=(178.0, -17.8), east=(-179.9, -16.5), spain=(2.1, 41.4))


@pytest.fixture(scope='module')
def islands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp('islands')
    service = Service([fake_model(folder, 'first', places=ISLANDS), fake_model(folder, 'second')])
    yield service
    service.close()


@pytest.fixture(scope='module')
def address(islands: Service) -> Iterator[str]:
    with serving(islands) as address:
        yield address


def notes(page: Any) -> list[str]:
    """What the region beside the results says."""
    region = page.locator('#notes')
    assert region.get_attribute('role') == 'status'
    return region.locator('p').all_inner_texts()


def test_unknown_words_are_named_beside_the_hits(page: Any, islands: Service) -> None:
    show(page, '/?q=zebra+river')
    assert len(notes(page)) == 1 and "'zebra'" in notes(page)[0]
    assert cards(page) and not page.get_by_role('alert').is_visible()
    page.get_by_label('Side by side').check()
    page.locator('.column.second .card').first.wait_for()
    assert len(notes(page)) == 1 and 'first' not in notes(page)[0]  # both say the same
    tokenizer = islands.models[1].search.embedder.tokenizer
    tokenizer.unknown_words = lambda text: []
    page.reload()
    page.locator('.column.second .card').first.wait_for()
    assert notes(page)[0].startswith('first: ')
    del tokenizer.unknown_words
    page.get_by_role('combobox', name='What to look for').fill('a river')
    page.keyboard.press('Enter')
    page.wait_for_url('**/?q=a+river*')
    page.locator('#columns:not(.busy) .card').first.wait_for()
    assert notes(page) == []


def test_a_box_across_180_degrees(page: Any) -> None:
    show(page, '/?q=a+river&bbox=170,-20,-170,-10')
    chip = page.locator('.chip', has_text='inside a box across 180')
    assert chip.locator('span').get_attribute('title') == 'bbox=170,-20,-170,-10'
    keys = cards(page)
    assert {key.split('/')[0].partition(':')[2] for key in keys} == {'west', 'east'}
    settle(page)
    # The map shows the islands and not the globe, and the area on both sides.
    west, east = page.evaluate(
        '() => { const b = urbancross.map.gl.getBounds(); return [b.getWest(), b.getEast()]; }'
    )
    assert 160 < west < 178 and 180.2 < east < 200
    lit = """([lon, lat]) => urbancross.map.gl.queryRenderedFeatures(
        urbancross.map.gl.project([lon, lat]), { layers: ['area'] }).length"""
    assert page.evaluate(lit, [179, -17]) == page.evaluate(lit, [181, -17]) == 1
    pins = page.locator('.pin').evaluate_all(
        '(all) => all.map((pin) => pin.getBoundingClientRect().right)'
    )
    frame = page.locator('#map').bounding_box()
    assert all(frame['x'] < x < frame['x'] + frame['width'] + 40 for x in pins)
    page.get_by_role('button', name='Filters', exact=True).click()
    assert page.get_by_label('East', exact=True).input_value() == '-170'
    page.get_by_role('button', name='Use the map view').click()
    values = [float(page.get_by_label(side, exact=True).input_value()) for side in ('West', 'East')]
    assert values[0] > 160 and values[1] < -160
    page.get_by_role('button', name='Apply').click()
    page.locator('.chip', has_text='across 180').wait_for()
    page.locator('#columns:not(.busy)').wait_for()
    assert set(cards(page)) == set(keys)


def test_the_area_is_shown_before_a_query_and_without_hits(page: Any) -> None:
    view = '() => urbancross.map.gl.getBounds().toArray()'
    for path in ('/?bbox=170,-20,-170,-10', '/?q=a+river&bbox=179.2,-5,-179.2,5'):
        page.goto(path)
        page.locator('#status', has_text='passes' if 'q=' in path else 'indexed').wait_for()
        settle(page)
        (west, _), (east, _) = page.evaluate(view)
        assert 150 < west < 180 < east < 210, path


def test_a_box_is_drawn_across_180_degrees(page: Any) -> None:
    show(page, '/?q=a+forest')
    page.evaluate('urbancross.map.gl.jumpTo({center: [180, -17], zoom: 5})')
    settle(page)
    frame = page.locator('#map').bounding_box()
    x, y = frame['x'] + frame['width'] / 2, frame['y'] + frame['height'] / 2
    page.get_by_role('button', name='Draw a box').click()
    page.mouse.move(x - 150, y - 120)
    page.mouse.down()
    page.mouse.move(x + 120, y + 120)
    page.mouse.up()
    page.locator('.chip', has_text='inside a box across 180').wait_for()
    page.locator('#columns:not(.busy)').wait_for()
    playwright.expect(page.locator('.card[data-key*="spain"]')).to_have_count(0)
    assert {key.split('/')[0].partition(':')[2] for key in cards(page)} == {'west', 'east'}


def test_an_upload_that_the_server_has_forgotten(
    page: Any, wrong: list[str], tmp_path: Path, islands: Service
) -> None:
    Image.new('RGB', (40, 40), COLORS['forest']).save(tmp_path / 'a.png')
    show(page, '/')
    page.locator('#file').set_input_files(tmp_path / 'a.png')
    page.get_by_role('button', name='Remove: an uploaded image').wait_for()
    shared = page.url
    islands.uploads._images.clear()  # as a restart does
    page.goto(shared)
    page.locator('#notes p').wait_for()
    assert notes(page) == [
        'The uploaded image of this query is no longer on the server: choose it again with “Image”.'
    ]
    assert not page.get_by_role('alert').is_visible() and not page.locator('.chip').count()
    page.get_by_role('heading', name='What are you looking for?').wait_for()
    assert 'upload' not in page.url
    page.goto(f'{shared}&q=a+river')
    page.locator('#status', has_text=HITS).wait_for()
    assert len(notes(page)) == 1 and all('/river/' in key for key in cards(page)[:5])
    # The browser reports what the server refuses.
    assert wrong and all('410' in text for text in wrong)
    wrong.clear()


def test_examples_name_what_the_index_has(page: Any) -> None:
    show(page, '/')
    box = page.get_by_role('combobox', name='What to look for')
    assert box.get_attribute('placeholder').startswith('some ')
    page.get_by_role('button', name='Filters', exact=True).click()
    conditions = page.get_by_label('Conditions, one a line')
    assert conditions.get_attribute('placeholder').startswith('country=')
    codes = page.locator('#where-help code').all_inner_texts()
    assert any(code.startswith('tags=tile|') for code in codes)
    assert any(code.startswith('near=') for code in codes)
    assert not any('gsd' in code or 'date' in code for code in codes)
    conditions.fill('\n'.join(codes))
    box.fill('a river')
    page.get_by_role('button', name='Apply').click()
    page.locator('.chip').nth(len(codes) - 1).wait_for()


def test_the_page_follows_the_index(
    page: Any, islands: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_model, 'SECONDS_BETWEEN_REFRESHES', 0)
    monkeypatch.setattr(live_overview, 'LEAST_REST', 0.0)
    monkeypatch.setattr(live_overview, 'REST', 0)
    show(page, '/?q=a+river')
    store = islands.models[0].search.store
    before = store.count()
    (known,) = store.get(['spain/river/0'])
    new = [
        StoreItem(f'new/{number}', known.embed, dict(known.attributes, quality=quality))
        for number, quality in enumerate(['good', 'bad'] * 2)
    ]
    try:
        store.add(new)
        playwright.expect(page.locator('#status')).to_contain_text(f'of {before} images')
        page.get_by_role('button', name='Filters', exact=True).click()
        for _ in range(3):  # the first one has the index read
            page.evaluate('() => { urbancross.asked = 0; urbancross.go({ page: 1 }); }')
            page.locator('#columns:not(.busy) .card').first.wait_for()
            islands.models[0]._overview._reader.join(60)
        playwright.expect(page.locator('#status')).to_contain_text(f'of {before + 4} images')
        page.get_by_role('button', name='Add the condition quality=good').wait_for()
    finally:
        store.delete([item.id for item in new])


def test_without_positions_nothing_is_drawn(browser: Any, wrong: list[str], tmp_path: Path) -> None:
    model = fake_model(tmp_path, places=dict(nowhere=(0.0, 0.0)))
    items = list(model.search.store.items(embeds=True))
    model.search.store.update(
        [StoreItem(item.id, None, dict(img_path=item.attributes['img_path'])) for item in items]
    )
    service = Service([ServedModel('plain', model.search)])
    with serving(service) as address, open_page(browser, address, wrong) as page:
        show(page, '/?q=a+river')
        page.get_by_role('button', name='Filters', exact=True).click()
        assert not page.get_by_label('West', exact=True).is_visible()
        assert not page.get_by_role('button', name='Draw a box').is_visible()
        assert page.locator('#where-help').inner_text() == ''
        assert page.get_by_label('Conditions, one a line').get_attribute('placeholder') == ''
    service.close()
