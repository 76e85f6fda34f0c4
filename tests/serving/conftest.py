"""A service over a small index, a raster and two models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('fastapi', reason='the page needs urbancross-mm[serve]')
pytest.importorskip('rio_tiler', reason='the page needs urbancross-mm[serve]')

from fastapi.testclient import TestClient  # noqa: E402

from tests.serving.fakes import fake_model, fake_raster  # noqa: E402
from urbancross_mm.serving.app import create_app  # noqa: E402
from urbancross_mm.serving.limits import Limits  # noqa: E402
from urbancross_mm.serving.raster_tiles import RasterTiles  # noqa: E402
from urbancross_mm.serving.service import Service  # noqa: E402

LIMITS = Limits(upload_bytes=200_000, upload_pixels=1_000_000, decode_seconds=20)


@pytest.fixture(scope='session')
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp('served')
    models = [fake_model(folder / 'images', 'adapted'), fake_model(folder / 'images', 'source')]
    raster = RasterTiles(fake_raster(folder / 'city.tif'), 'city')
    service = Service(models, [raster], LIMITS)
    yield service
    service.close()


def client_of(service: Service, **options: object) -> TestClient:
    return TestClient(
        create_app(service, **options),  # type: ignore[arg-type]
        base_url='http://127.0.0.1',
        raise_server_exceptions=False,
    )


@pytest.fixture(scope='session')
def client(served: Service) -> TestClient:
    # Not entered: the service outlives the client.
    return client_of(served)


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    from tests.serving.page_browser import open_browser  # skips without playwright

    with open_browser() as browser:
        yield browser


@pytest.fixture
def wrong() -> list[str]:
    """Errors of the console, and requests to other servers."""
    return []


@pytest.fixture
def page(browser: Any, address: str, wrong: list[str]) -> Iterator[Any]:
    from tests.serving.page_browser import open_page

    with open_page(browser, address, wrong) as page:
        yield page
