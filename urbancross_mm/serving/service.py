"""What the routes share: models, rasters, uploads and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from urbancross_mm.serving.gallery_images import GalleryImages
from urbancross_mm.serving.heat_maps import HeatMaps
from urbancross_mm.serving.limits import Limits, RefusedError
from urbancross_mm.serving.raster_tiles import RasterTiles
from urbancross_mm.serving.served_model import ServedModel
from urbancross_mm.serving.uploads import Uploads
from urbancross_mm.serving.worker_pool import WorkerPool


@dataclass
class Service:
    """Everything that is served.

    Attributes:
        models (Sequence[ServedModel]): The first one answers unless another is named.
        rasters (Sequence[RasterTiles]): Shown on the map. Defaults to none.
        limits (Limits): What a client may ask for.
        locating (Mapping): Options of heat maps, see :class:`HeatMaps`. Defaults to none.
        queries (WorkerPool): For work of the model.
        gallery (WorkerPool): For images and words of the index, which wait for nothing else.
        tiles (WorkerPool): For tiles, as one of a large raster takes long.
        decoding (WorkerPool): For uploads, each of which may take all the time it is allowed.
        heat (WorkerPool): For heat maps, one at a time, as the first of a raster takes minutes.
        uploads (Uploads): Images of clients.
        heat_maps (HeatMaps): Heat maps of rasters.
        images (GalleryImages): Images of items.
    """

    models: Sequence[ServedModel]
    rasters: Sequence[RasterTiles] = ()
    limits: Limits = field(default_factory=Limits)
    locating: Mapping[str, Any] = field(default_factory=dict)
    queries: WorkerPool = field(init=False)
    gallery: WorkerPool = field(init=False)
    tiles: WorkerPool = field(init=False)
    decoding: WorkerPool = field(init=False)
    heat: WorkerPool = field(init=False)
    uploads: Uploads = field(init=False)
    heat_maps: HeatMaps = field(init=False)
    images: GalleryImages = field(init=False)

    def __post_init__(self) -> None:
        self.queries = WorkerPool(self.limits.threads, self.limits.waiting)
        # A page asks for all of its images and tiles at once.
        self.gallery = WorkerPool(2, 2000)
        self.tiles = WorkerPool(2, 2000)
        self.decoding = WorkerPool(2, self.limits.uploads)
        self.heat = WorkerPool(1, 8)
        self.uploads = Uploads(self.limits)
        self.images = GalleryImages()
        self.heat_maps = HeatMaps(self.locating)

    def model(self, name: str | None) -> ServedModel:
        """A model by name, or the first one.

        Args:
            name (str | None): The name.

        Returns:
            ServedModel: The model.

        Raises:
            RefusedError: If there is none of this name (404).
        """
        for model in self.models:
            if name in (None, model.name):
                return model
        names = ', '.join(model.name for model in self.models)
        raise RefusedError(404, f'there is no model {name!r:.100}: there are {names}')

    def raster(self, name: str) -> RasterTiles:
        """A raster by name.

        Args:
            name (str): The name.

        Returns:
            RasterTiles: The raster.

        Raises:
            RefusedError: If there is none of this name (404).
        """
        for raster in self.rasters:
            if raster.name == name:
                return raster
        raise RefusedError(404, f'there is no raster {name[:100]!r}')

    def close(self) -> None:
        """End the workers and close the files."""
        for pool in (self.queries, self.heat, self.gallery, self.tiles, self.decoding):
            pool.close()
        self.heat_maps.close()
        for raster in self.rasters:
            raster.close()
