"""Routes that search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile

from urbancross_mm.inference.hit_formats import to_csv, to_geojson
from urbancross_mm.serving.replies import finite, hit_of
from urbancross_mm.serving.schemas import SearchReply, SearchRequest
from urbancross_mm.serving.service import Service


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

    async def find(request: Request, asked: SearchRequest) -> tuple[list[dict[str, Any]], bool]:
        model = service.model(asked.model)
        return await service.queries.run(
            request, lambda stop: model.find(asked, service.uploads.get, stop)
        )

    async def reply(request: Request, asked: SearchRequest, upload: str | None) -> SearchReply:
        records, more = await find(request, asked)
        name = service.model(asked.model).name
        hits = [hit_of(record, name) for record in records]
        return SearchReply(model=name, offset=asked.offset, more=more, upload=upload, hits=hits)

    @router.get('/search', summary='Search by what the address says')
    async def search(request: Request, asked: Annotated[SearchRequest, Query()]) -> SearchReply:
        return await reply(request, asked, None)

    @router.post('/search', summary='Search by what the body says')
    async def search_by_body(request: Request, asked: SearchRequest) -> SearchReply:
        return await reply(request, asked, None)

    @router.post('/search/image', summary='Search by an uploaded image, which is kept for a while')
    async def search_by_image(
        request: Request,
        form: Annotated[ImageSearchForm, Form(media_type='multipart/form-data')],
    ) -> SearchReply:
        content = await form.file.read(service.limits.upload_bytes + 1)
        upload = await service.decoding.run(request, partial(service.uploads.add, content))
        values = form.model_dump(exclude={'file'})
        values['uploads'] = [*values['uploads'], upload]
        return await reply(request, SearchRequest(**values), upload)

    def download(
        kind: str, media: str, what: str, write: Callable[[list[dict[str, Any]]], str]
    ) -> None:
        @router.get(
            f'/results.{kind}',
            summary=f'Hits as a file ({kind})',
            response_class=Response,
            responses={
                200: {'description': 'The file', 'content': {media: {'schema': {'type': what}}}}
            },
            name=f'results_{kind}',
        )
        async def results(request: Request, asked: Annotated[SearchRequest, Query()]) -> Response:
            records, _ = await find(request, asked)
            headers = {'Content-Disposition': f'attachment; filename="results.{kind}"'}
            return Response(write(finite(records)), media_type=media, headers=headers)

    download('csv', 'text/csv', 'string', to_csv)
    download('geojson', 'application/geo+json', 'object', to_geojson)

    return router
