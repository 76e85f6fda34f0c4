"""The page in a browser: search, map, drawing, upload, overlay, side by side, a phone's width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving.fakes import COLORS
from tests.serving.page_browser import (
    HITS,
    MARKS,
    cards,
    playwright,
    serving,
    settle,
    show,
    wait_for_cards,
)
from urbancross_mm.serving.service import Service

pytestmark = MARKS


@pytest.fixture(scope='module')
def address(served: Service) -> Iterator[str]:
    with serving(served) as address:
        yield address


def test_search_shows_hits_in_step_with_the_map(page: Any) -> None:
    show(page, '/')
    page.keyboard.press('Tab')  # to the link that skips, and on to the box
    page.get_by_role('combobox', name='What to look for').fill('a harbor')
    page.keyboard.press('Enter')
    page.locator('#status', has_text=HITS).wait_for()
    wait_for_cards(page, '/harbor/')
    assert page.locator('.pin').count() == len(cards(page)) == 24
    assert 'q=a+harbor' in page.url and page.title().startswith('a harbor')
    card = page.locator('.card').nth(2)
    key = card.get_attribute('data-key')
    card.get_by_role('button', name='More like this').focus()
    lit = page.locator('.pin.lit')
    assert lit.count() == 1 and lit.inner_text() == '3'
    page.locator('.pin').last.dispatch_event('mouseenter')
    assert page.locator('.card.lit').count() == 2
    card.get_by_role('button', name='Show on the map').click()
    assert page.locator('.card.picked').get_attribute('data-key') == key
    settle(page)
    assert page.evaluate('urbancross.map.gl.getZoom()') > 10


def test_the_address_gives_the_same_page_again(page: Any) -> None:
    show(page, '/?q=a+river&where=country%3Dspain&duplicates=hide&page=1')
    before, url = cards(page), page.url
    assert before and all('spain/river' in key for key in before[:4])
    page.reload()
    page.locator('#status', has_text=HITS).wait_for()
    assert cards(page) == before
    page.get_by_role('button', name='Remove: country=spain').click()
    page.locator('.card[data-key*="germany"]').first.wait_for()
    page.go_back()
    playwright.expect(page.locator('.card[data-key*="germany"]')).to_have_count(0)
    assert page.url == url and cards(page) == before


def test_a_box_and_a_polygon_are_drawn(page: Any) -> None:
    show(page, '/?q=a+forest')
    page.evaluate('urbancross.map.gl.jumpTo({center: [2.14, 41.42], zoom: 10})')
    settle(page)
    frame = page.locator('#map').bounding_box()
    x, y = frame['x'] + frame['width'] / 2, frame['y'] + frame['height'] / 2
    page.get_by_role('button', name='Draw a box').click()
    page.mouse.move(x - 100, y - 100)
    page.mouse.down()
    page.mouse.move(x + 50, y + 50)
    page.mouse.move(x + 100, y + 100)
    page.mouse.up()
    page.get_by_role('button', name='Remove: inside a box').wait_for()
    wait_for_cards(page, 'spain')
    west, _, east, _ = map(float, re.search(r'area=bbox%3D([^&]*)', page.url)[1].split('%2C'))
    assert west < 2.14 < east
    page.get_by_role('button', name='Remove: inside a box').click()
    page.locator('.card[data-key*="germany"]').first.wait_for()
    page.evaluate('urbancross.map.gl.jumpTo({center: [13.44, 52.52], zoom: 10})')
    settle(page)
    page.get_by_role('button', name='Draw a polygon').click()
    for dx, dy in ((-120, -120), (120, -120), (120, 120), (-120, 120)):
        page.mouse.click(x + dx, y + dy)
    page.keyboard.press('Enter')
    page.get_by_role('button', name='Remove: inside a polygon').wait_for()
    wait_for_cards(page, 'germany')
    page.get_by_role('button', name='Draw a polygon').click()
    page.keyboard.press('Escape')
    assert (
        page.get_by_role('button', name='Draw a polygon').get_attribute('aria-pressed') == 'false'
    )


def test_filters_by_keyboard(page: Any, wrong: list[str]) -> None:
    show(page, '/?q=houses')
    page.get_by_role('button', name='Filters', exact=True).press('Enter')
    for side, value in (('West', '24'), ('South', '59'), ('East', '26'), ('North', '61')):
        page.get_by_label(side, exact=True).fill(value)
    page.get_by_label('North', exact=True).press('Enter')
    wait_for_cards(page, 'finland')
    page.get_by_label('Conditions, one a line').fill('tags=river\nnonsense')
    page.get_by_role('button', name='Apply').click()
    alert = page.get_by_role('alert')
    alert.wait_for()
    assert 'nonsense' in alert.inner_text()
    # The browser reports what the server refuses.
    assert '400' in wrong.pop()
    page.get_by_role('button', name='Clear filters').click()
    page.locator('.card[data-key*="spain"]').first.wait_for()
    page.get_by_role('button', name='Add the condition country=germany').click()
    wait_for_cards(page, 'germany')


def test_marks_and_more_like_this(page: Any) -> None:
    show(page, '/?q=a+road')
    page.locator('.card[data-key*="houses"]').first.get_by_role('button', name='Right').click()
    assert page.locator('.card.right').count() == 1
    page.get_by_role('button', name='Search with marks').click()
    page.locator('#columns:not(.busy)').wait_for()
    assert 'like=' in page.url
    assert all('houses' in key for key in cards(page)[:8])
    page.get_by_role('button', name='Next').click()
    page.locator('#page', has_text='Page 2').wait_for()
    page.locator('.rank', has_text='25').wait_for()
    page.locator('.card').first.get_by_role('button', name='More like this').click()
    page.locator('.chip', has_text='like ').wait_for()
    assert page.get_by_role('combobox', name='What to look for').input_value() == ''


def test_an_image_is_uploaded_and_what_is_none_is_refused(page: Any, tmp_path: Path) -> None:
    Image.new('RGB', (40, 40), COLORS['forest']).save(tmp_path / 'a.png')
    (tmp_path / 'b.png').write_bytes(bytes(300_000))
    show(page, '/')
    page.locator('#file').set_input_files(tmp_path / 'a.png')
    page.get_by_role('button', name='Remove: an uploaded image').wait_for()
    wait_for_cards(page, '/forest/')
    page.locator('#file').set_input_files(tmp_path / 'b.png')
    page.get_by_role('alert').wait_for()
    assert '300,000' in page.get_by_role('alert').inner_text()


def test_a_heat_map_lies_over_the_raster(page: Any) -> None:
    show(page, '/?q=a+river')
    page.get_by_role('button', name='Rasters and heat map').click()
    page.get_by_label('Heat map of the query in').select_option('city')
    page.locator('#heat-status', has_text='stand out').wait_for()
    settle(page)
    assert page.locator('.pin.peak').count() >= 1
    shown = '() => urbancross.map.gl.getPaintProperty("heat", "raster-opacity")'
    assert page.evaluate(shown) == 0.7
    page.get_by_label('Opacity of the heat map').fill('30')
    assert page.evaluate(shown) == 0.3
    page.locator('#rasters input').uncheck()
    assert page.evaluate('!urbancross.map.gl.getLayer("raster-city")')
    assert 'heat=city' in page.url and 'hide=city' in page.url


def test_two_models_side_by_side_in_the_dark(page: Any) -> None:
    page.emulate_media(color_scheme='dark')
    show(page, '/?q=a+harbor')
    page.get_by_label('Side by side').check()
    page.locator('.column.second .card').first.wait_for()
    assert page.locator('.column h2').all_inner_texts() == ['adapted', 'source']
    assert page.locator('.pin.second').count() == 24
    settle(page)
    page.emulate_media(color_scheme='light')
    settle(page)
    drawn = page.evaluate('urbancross.map.gl.getStyle().sources.hits.data.features.length')
    assert drawn == 48


def test_history_and_suggestions(page: Any) -> None:
    show(page, '/?q=a+harbor')
    box = page.get_by_role('combobox', name='What to look for')
    box.fill('riv')
    page.get_by_role('option', name='river', exact=True).wait_for()
    box.press('ArrowDown')
    box.press('Enter')
    wait_for_cards(page, '/river/')
    box.fill('')
    box.blur()
    box.focus()
    page.get_by_role('option', name='a harbor').wait_for()
    page.get_by_role('option', name='Clear the history').click()
    assert page.evaluate('localStorage.getItem("urbancross-history")') == '[]'


def test_details_and_downloads(page: Any) -> None:
    show(page, '/?q=a+harbor')
    page.get_by_role('button', name=re.compile('^Hit 1:')).click()
    dialog = page.get_by_role('dialog')
    assert 'harbor' in dialog.inner_text() and '.png' in dialog.inner_text()
    page.keyboard.press('Escape')
    playwright.expect(dialog).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role('link', name='GeoJSON').click()
    assert download.value.suggested_filename == 'results.geojson'


def test_a_phones_width(page: Any) -> None:
    page.set_viewport_size(dict(width=360, height=740))
    show(page, '/?q=a+harbor&compare=yes')
    page.get_by_role('button', name='Filters', exact=True).click()
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    for button in page.locator('button:visible, a.button:visible').all():
        frame = button.bounding_box()
        assert frame['width'] >= 24 and frame['height'] >= 24, button.inner_html()


def test_a_search_that_is_given_up_is_over(page: Any) -> None:
    show(page, '/')
    page.route('**/api/search?*', lambda route: None)  # never answered
    page.evaluate('() => { urbancross.go({ q: "a harbor" }); }')
    page.locator('#results[aria-busy]').wait_for()
    page.evaluate('() => { urbancross.go({ q: "" }); }')
    page.locator('#results:not([aria-busy])').wait_for(timeout=5000)
    assert not page.locator('#columns.busy').count()
    page.unroute_all(behavior='ignoreErrors')
