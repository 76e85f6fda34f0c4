"""The FastAPI app."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from urbancross_mm.serving.gallery_routes import gallery_routes
from urbancross_mm.serving.info_routes import info_routes
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.raster_routes import raster_routes
from urbancross_mm.serving.schemas import ErrorReply
from urbancross_mm.serving.search_routes import search_routes
from urbancross_mm.serving.security import HEADERS, LOOPBACK, Guard
from urbancross_mm.serving.service import Service
from urbancross_mm.serving.worker_pool import StoppedError
from urbancross_mm.utils.error_sentence import sentence_of
from urbancross_mm.version import __version__

STATIC = Path(__file__).parent / 'static'
TOKEN = re.compile(r'[A-Za-z0-9._~-]{8,200}')
CLIENT_GONE = 499  # as nginx says it; nobody reads it
ERRORS = {
    400: 'The request cannot be answered.',
    401: 'A token is needed.',
    403: 'A page of another site asks.',
    404: 'There is no such thing.',
    408: 'The request takes too long to come.',
    410: 'An uploaded image is no longer kept.',
    413: 'The request, or the image in it, is too large.',
    422: 'A value is not possible, or an image cannot be decoded.',
    503: 'Too many queries wait, or the index cannot be reached.',
}


def create_app(service: Service, token: str | None = None, any_host: bool = False) -> FastAPI:
    """Make the app: API below ``/api``, the page at ``/``.

    Args:
        service (Service): What is served. Closed with the app.
        token (str, optional): What a client must send, as a bearer or a cookie. Defaults to None:
            everybody who reaches the server may ask.
        any_host (bool): Answer under any name. Defaults to False: only under names of the
            loopback interface, unless there is a token.

    Returns:
        FastAPI: The app.

    Raises:
        ValueError: If the token cannot be one.
    """
    if token is not None and not TOKEN.fullmatch(token):
        raise ValueError(
            'a token has 8 to 200 letters, digits or any of . _ ~ -, '
            f'got one of {len(token)} characters'
        )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title='urbancross_mm',
        version=__version__,
        summary='Search satellite images by text, image, marks and place.',
        openapi_url='/api/openapi.json',
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    api = APIRouter(
        prefix='/api',
        responses={code: dict(model=ErrorReply, description=ERRORS[code]) for code in ERRORS},
        # Checked by the guard; named here for the description.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if token else [],
    )
    for routes in (info_routes, search_routes, gallery_routes, raster_routes):
        api.include_router(routes(service))
    app.include_router(api)
    app.mount('/static', StaticFiles(directory=STATIC), name='static')
    app.add_api_route('/', _page, include_in_schema=False)
    _add_handlers(app)
    hosts = None if token or any_host else LOOPBACK
    app.add_middleware(Guard, limits=service.limits, token=token, hosts=hosts)  # type: ignore[arg-type]
    return app


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    Args:
        host (str): Name or address to listen on.

    Returns:
        bool: True for ``localhost``, ``127.0.0.0/8`` and ``::1``.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


async def _page() -> FileResponse:
    return FileResponse(STATIC / 'index.html', headers={'Cache-Control': 'no-cache'})


def _add_handlers(app: FastAPI) -> None:
    """Every error is one sentence."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        headers = {'Retry-After': '2'} if error.status == 503 else None
        return JSONResponse(dict(detail=error.sentence), error.status, headers)

    @app.exception_handler(ConnectionError)
    async def unreachable(_: Request, error: ConnectionError) -> JSONResponse:
        return JSONResponse(dict(detail=sentence_of(error)), 503, {'Retry-After': '2'})

    @app.exception_handler(StoppedError)
    async def stopped(_: Request, error: StoppedError) -> Response:
        return Response(status_code=CLIENT_GONE)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(dict(detail=_sentence(error)), 422)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        sentence = f'{error.detail}: {request.method} {request.url.path[:200]}'
        return JSONResponse(dict(detail=sentence), error.status_code, error.headers)

    # The server, uvicorn, logs it.
    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        # Outside of the guard, which adds them to all other replies.
        headers = {name.decode(): value.decode() for name, value in HEADERS}
        return JSONResponse(dict(detail='the server failed; its log says how'), 500, headers)


def _sentence(error: RequestValidationError) -> str:
    """The first error: field, reason and value."""
    first = error.errors()[0]
    field = '.'.join(str(part) for part in first['loc'][1:]) or 'the body'
    value = first.get('input')
    received = f', got {value!a:.100}' if isinstance(value, str | int | float | None) else ''
    return f'{field}: {first["msg"]}{received}'.encode('ascii', 'replace').decode()
