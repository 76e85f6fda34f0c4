"""Routes of rasters, their tiles, and heat maps in them."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from urbancross_mm.serving.heat_maps import ShownMap
from urbancross_mm.serving.kept_replies import kept_reply
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.raster_tiles import RasterTiles
from urbancross_mm.serving.schemas import HeatMapReply, LocateRequest, Peak, RasterInfo
from urbancross_mm.serving.service import Service
from urbancross_mm.serving.worker_pool import Stop

PNG: dict[int | str, dict[str, Any]] = {
    200: {'content': {'image/png': {}}, 'description': 'A tile of 256 pixels a side'}
}


def raster_routes(service: Service) -> APIRouter:
    """Routes of rasters.

    Args:
        service (Service): What is served.

    Returns:
        APIRouter: The routes.
    """
    router = APIRouter(tags=['rasters'])

    @router.get('/rasters', summary='Rasters that are shown on the map')
    async def rasters(request: Request) -> list[RasterInfo]:
        return await service.tiles.run(request, lambda _: raster_infos(service))

    @router.post('/rasters/{name}/locate', summary='Where in a raster a text or an image is')
    async def locate(request: Request, name: str, asked: LocateRequest) -> HeatMapReply:
        if (asked.text is None) == (asked.upload is None):
            raise RefusedError(400, 'give either a text or an upload')
        model, raster = service.model(asked.model), service.raster(name)

        def work(stop: Stop) -> HeatMapReply:
            images = [] if asked.upload is None else [service.uploads.get(asked.upload)]
            texts = [asked.text] if asked.text else []
            vector = model.encode(texts, images, stop)
            heat_id, shown = service.heat_maps.make(model, raster, vector, stop)
            return _reply(heat_id, shown, raster.name, model.name, model.warnings(texts))

        return await service.heat.run(request, work)

    def tiles(kind: str, summary: str) -> None:
        @router.get(
            f'/{kind}/{{name}}/tiles/{{z}}/{{x}}/{{y}}.png',
            summary=summary,
            response_class=Response,
            responses=PNG,
            name=f'{kind}_tile',
        )
        async def tile(request: Request, name: str, z: int, x: int, y: int) -> Response:
            def work(_: Stop) -> Response:
                maps = service.heat_maps
                shown = service.raster(name).view() if kind == 'rasters' else maps.get(name)
                return kept_reply(request, shown.key, 'image/png', lambda: shown.tile(z, x, y))

            return await service.tiles.run(request, work)

    tiles('rasters', 'Tile of a raster')
    tiles('heatmaps', 'Tile of a heat map')
    return router


def _reply(
    heat_id: str, shown: ShownMap, raster: str, model: str, warnings: list[str]
) -> HeatMapReply:
    return HeatMapReply(
        id=heat_id,
        raster=raster,
        model=model,
        bounds=list(shown.file.bounds),
        tiles=f'api/heatmaps/{heat_id}/tiles/{{z}}/{{x}}/{{y}}.png',
        # Between its cells it is smooth, and the map makes it larger from here on.
        max_zoom=shown.file.max_zoom + 1,
        warnings=warnings,
        peaks=[Peak(lon=lon, lat=lat, score=score) for lon, lat, score in shown.peaks],
    )


def raster_infos(service: Service) -> list[RasterInfo]:
    """The rasters as the API shows them, without those whose file cannot be shown any more.

    Args:
        service (Service): What is served.

    Returns:
        list[RasterInfo]: Their bounds and the addresses of their tiles.
    """
    infos = []
    for raster in service.rasters:
        with contextlib.suppress(RefusedError):
            infos.append(_raster_info(raster))
    return infos


def _raster_info(raster: RasterTiles) -> RasterInfo:
    view = raster.view()
    return RasterInfo(
        name=raster.name,
        bounds=list(view.file.bounds),
        min_zoom=view.min_zoom,
        max_zoom=view.file.max_zoom,
        tiles=f'api/rasters/{quote(raster.name, safe="")}/tiles/{{z}}/{{x}}/{{y}}.png',
    )
