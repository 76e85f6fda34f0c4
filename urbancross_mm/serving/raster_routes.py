"""Routes of rasters and their tiles."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from urbancross_mm.serving.raster_tiles import RasterTiles
from urbancross_mm.serving.schemas import RasterInfo
from urbancross_mm.serving.service import Service

PNG = {200: {'content': {'image/png': {}}}}


def raster_routes(service: Service) -> APIRouter:
    """Routes of rasters and their tiles.

    Args:
        service (Service): What is served.

    Returns:
        APIRouter: The routes.
    """
    router = APIRouter(tags=['rasters'])

    @router.get('/rasters', summary='Rasters that are shown on the map')
    async def rasters() -> list[RasterInfo]:
        return [raster_info(raster) for raster in service.rasters]

    @router.get(
        '/rasters/{name}/tiles/{z}/{x}/{y}.png',
        summary='Tile of a raster',
        response_class=Response,
        responses=PNG,
    )
    async def tile(request: Request, name: str, z: int, x: int, y: int) -> Response:
        raster = service.raster(name)
        picture = await service.pictures.run(request, lambda _: raster.tile(z, x, y))
        headers = {'Cache-Control': 'private, max-age=3600'}
        return Response(picture, media_type='image/png', headers=headers)

    return router


def raster_info(raster: RasterTiles) -> RasterInfo:
    """A raster as the API shows it.

    Args:
        raster (RasterTiles): The raster.

    Returns:
        RasterInfo: Its place and the address of its tiles.
    """
    return RasterInfo(
        name=raster.name,
        bounds=list(raster.bounds),
        min_zoom=raster.min_zoom,
        max_zoom=raster.max_zoom,
        tiles=f'api/rasters/{quote(raster.name, safe="")}/tiles/{{z}}/{{x}}/{{y}}.png',
    )
