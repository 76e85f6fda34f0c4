"""A browser with the page in it, for the tests of the page."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from urbancross_mm.serving.app import create_app
from urbancross_mm.serving.service import Service

playwright = pytest.importorskip(
    'playwright.sync_api', reason='the page is driven by playwright, which is not installed'
)
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason='the page needs a Chromium to be tested'),
]

ARGUMENTS = [
    '--no-sandbox',
    '--disable-gpu',
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
    '--ignore-gpu-blocklist',
]
WAIT = 60_000  # milliseconds; on a loaded machine the map takes a while
HITS = re.compile('Hits')


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """A server for a service, which outlives it; gives its address."""
    import uvicorn

    # Without the end of its life, at which the app closes the service.
    config = uvicorn.Config(create_app(service), port=0, log_level='warning', lifespan='off')
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def start_and_say(*args: Any, **options: Any) -> None:
        await startup(*args, **options)
        started.set()

    server.startup = start_and_say  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(60)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f'http://127.0.0.1:{port}'
    server.should_exit = True
    thread.join(60)


@contextmanager
def open_browser() -> Iterator[Any]:
    """Chromium without a window."""
    with playwright.sync_playwright() as play:
        yield play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


@contextmanager
def open_page(browser: Any, address: str, wrong: list[str]) -> Iterator[Any]:
    """A page whose console must stay free of errors, and which asks this server alone.

    What is not so is added to ``wrong``, and must have been taken away at the end.
    """
    context = browser.new_context(
        viewport=dict(width=1000, height=640), base_url=address, reduced_motion='reduce'
    )
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.on('console', lambda m: wrong.append(m.text) if m.type == 'error' else None)
    page.on('pageerror', lambda error: wrong.append(str(error)))
    page.on(
        'request', lambda r: r.url.startswith((address, 'blob:', 'data:')) or wrong.append(r.url)
    )
    yield page
    context.close()
    assert not wrong


def show(page: Any, path: str) -> None:
    page.goto(path)
    page.locator('#status', has_text=re.compile('Hits|indexed')).wait_for()
    settle(page)


def settle(page: Any) -> None:
    """Until the map has drawn what it was given."""
    page.evaluate(
        '() => urbancross.map.ready.then(() => new Promise((done) => {'
        'urbancross.map.gl.once("idle", done); urbancross.map.gl.triggerRepaint(); }))'
    )


def cards(page: Any) -> list[str]:
    return page.locator('.card').evaluate_all('(all) => all.map((card) => card.dataset.key)')


def wait_for_cards(page: Any, pattern: str) -> None:
    """Until every card is one of these."""
    page.locator('#columns:not(.busy) .card').first.wait_for()
    playwright.expect(page.locator(f'.card:not([data-key*="{pattern}"])')).to_have_count(
        0, timeout=WAIT
    )
