"""Routes of what is in an index: images of items, and phrases."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from urbancross_mm.serving.kept_replies import kept_reply
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.schemas import Id, Suggestions
from urbancross_mm.serving.service import Service
from urbancross_mm.serving.worker_pool import Stop


def gallery_routes(service: Service) -> APIRouter:
    """Routes of what is in an index.

    Args:
        service (Service): What is served.

    Returns:
        APIRouter: The routes.
    """
    router = APIRouter(tags=['gallery'])

    @router.get('/suggest', summary='Phrases of the index that fit what was typed')
    async def suggest(
        request: Request,
        typed: Annotated[str, Query(max_length=200)],
        model: Annotated[Id | None, Query()] = None,
    ) -> Suggestions:
        served = service.model(model)
        phrases = await service.gallery.run(request, lambda _: served.overview.suggest(typed))
        return Suggestions(phrases=phrases)

    @router.get(
        '/images/{item_id:path}',
        summary='Image of an item',
        response_class=Response,
        responses={200: {'content': {'image/jpeg': {}}}},
    )
    async def image(
        request: Request,
        item_id: str,
        size: Literal['thumbnail', 'full'] = 'thumbnail',
        model: Annotated[Id | None, Query()] = None,
    ) -> Response:
        served = service.model(model)
        if not item_id or '\0' in item_id:
            raise RefusedError(404, f'the index has no item {item_id[:100]!r}')

        def work(_: Stop) -> Response:
            attributes, full = served.item(item_id).attributes, size == 'full'
            key = service.images.key(attributes, full)
            return kept_reply(
                request, key, 'image/jpeg', lambda: service.images.get(attributes, full)
            )

        return await service.gallery.run(request, work)

    return router
