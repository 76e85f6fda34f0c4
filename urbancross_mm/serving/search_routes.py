"""Routes that search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile

from urbancross_mm.inference.hit_formats import to_csv, to_geojson
from urbancross_mm.serving.replies import finite, hit_of
from urbancross_mm.serving.schemas import SearchReply, SearchRequest
from urbancross_mm.serving.served_model import HitPage
from urbancross_mm.serving.service import Service

Writer = Callable[[list[dict[str, Any]]], str]


class ImageSearchForm(SearchRequest):
    """An image to search by, beside everything else that can be searched for."""

    file: UploadFile


def search_routes(service: Service) -> APIRouter:
    """Routes that search.

    Args:
        service (Service): What is searched.

    Returns:
        APIRouter: The routes.
    """
    router = APIRouter(tags=['search'])

    @router.get('/search', summary='Search by what the address says')
    async def search(request: Request, asked: Annotated[SearchRequest, Query()]) -> SearchReply:
        return await _reply(service, request, asked)

    @router.post('/search', summary='Search by what the body says')
    async def search_by_body(request: Request, asked: SearchRequest) -> SearchReply:
        return await _reply(service, request, asked)

    @router.post('/search/image', summary='Search by an uploaded image, which is kept for a while')
    async def search_by_image(
        request: Request,
        form: Annotated[ImageSearchForm, Form(media_type='multipart/form-data')],
    ) -> SearchReply:
        content = await form.file.read(service.limits.upload_bytes + 1)
        upload = await service.decoding.run(request, partial(service.uploads.add, content))
        values = form.model_dump(exclude={'file'})
        values['uploads'] = [*values['uploads'], upload]
        return await _reply(service, request, SearchRequest(**values), upload)

    _add_download(router, service, 'csv', 'text/csv', 'string', to_csv)
    _add_download(router, service, 'geojson', 'application/geo+json', 'object', to_geojson)
    return router


def _add_download(
    router: APIRouter, service: Service, kind: str, media: str, schema: str, write: Writer
) -> None:
    """A route that gives hits as a file."""

    @router.get(
        f'/results.{kind}',
        summary=f'Hits as a file ({kind})',
        response_class=Response,
        responses={
            200: {'description': 'The file', 'content': {media: {'schema': {'type': schema}}}}
        },
        name=f'results_{kind}',
    )
    async def results(request: Request, asked: Annotated[SearchRequest, Query()]) -> Response:
        page = await _find(service, request, asked)
        headers = {'Content-Disposition': f'attachment; filename="results.{kind}"'}
        return Response(write(finite(page.hits)), media_type=media, headers=headers)


async def _find(service: Service, request: Request, asked: SearchRequest) -> HitPage:
    model = service.model(asked.model)
    return await service.queries.run(
        request, lambda stop: model.find(asked, service.uploads.get, stop)
    )


async def _reply(
    service: Service, request: Request, asked: SearchRequest, upload: str | None = None
) -> SearchReply:
    page = await _find(service, request, asked)
    name = service.model(asked.model).name
    return SearchReply(
        model=name,
        offset=asked.offset,
        more=page.more,
        upload=upload,
        warnings=page.warnings,
        hits=[hit_of(record, name) for record in page.hits],
    )
