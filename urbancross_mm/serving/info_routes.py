"""Routes that say what is served."""

from __future__ import annotations

from fastapi import APIRouter, Request

from urbancross_mm.serving.raster_routes import raster_infos
from urbancross_mm.serving.schemas import AttributeInfo, Info, ModelInfo
from urbancross_mm.serving.served_model import ServedModel
from urbancross_mm.serving.service import Service
from urbancross_mm.version import __version__


def info_routes(service: Service) -> APIRouter:
    """Routes that say what is served.

    Args:
        service (Service): What is served.

    Returns:
        APIRouter: The routes.
    """
    router = APIRouter(tags=['info'])

    @router.get('/info', summary='Models, attributes to filter by, and rasters')
    async def info(request: Request) -> Info:
        models, rasters = await service.gallery.run(
            request, lambda _: ([_model_info(m) for m in service.models], raster_infos(service))
        )
        return Info(
            version=__version__,
            models=models,
            rasters=rasters,
            upload_bytes=service.limits.upload_bytes,
        )

    return router


def _model_info(model: ServedModel) -> ModelInfo:
    overview = model.overview
    return ModelInfo(
        name=model.name,
        items=model.count(),
        fingerprint=model.search.store.fingerprint,
        attributes=[
            AttributeInfo(
                name=attribute.name,
                kind=attribute.kind,
                values=attribute.values,
                conditions=list(map(attribute.condition, attribute.values)),
            )
            for attribute in overview.attributes
        ],
        bounds=None if overview.bounds is None else list(overview.bounds),
        examples=overview.examples,
        conditions=overview.conditions,
    )
