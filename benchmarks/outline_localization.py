"""A heat map against outlines, such as those of the buildings in OpenStreetMap.

``python benchmarks/outline_localization.py CONFIG CKPT FILE.tif ... --outlines buildings.geojson``
looks for a query in each raster and prints, for each mode, the area under the ROC curve of the
pixels (0.5 by chance) against those inside an outline. Rasters without an outline are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timing

MODES = ('windows', 'coarse-to-fine', 'dense')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none"')
    parser.add_argument('rasters', type=Path, nargs='+', help='GeoTIFFs with a CRS')
    parser.add_argument('--outlines', type=Path, required=True, help='GeoJSON in degrees')
    parser.add_argument('--query', default='houses')
    parser.add_argument('--scales', type=int, nargs='+', default=[256, 512, 768])
    parser.add_argument('--modes', nargs='+', default=['windows', 'dense'], choices=MODES)
    parser.add_argument('--sample', action='store_true', help='as of tools/train.py')
    parser.add_argument('--device')
    return parser.parse_args()


def inside_outlines(raster: Path, outlines: list[dict[str, Any]]) -> np.ndarray:
    """Which pixels of a raster lie in an outline."""
    import rasterio
    from rasterio import features, warp

    with rasterio.open(raster) as file:
        moved = warp.transform_geom('EPSG:4326', file.crs, outlines)
        shape, transform = (file.height, file.width), file.transform
    return features.rasterize(moved, shape, transform=transform, dtype='uint8') > 0


def main() -> None:
    """Look in every raster, print the mean."""
    args = parse_args()
    from urbancross_mm.apis import SemanticLocalizer, load_config
    from urbancross_mm.functional.localization import area_under_roc
    from urbancross_mm.inference.embedder import Embedder

    config = load_config(args.config, sample=args.sample)
    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    localizer = SemanticLocalizer(Embedder.from_config(config, checkpoint, device=args.device))
    collection = json.loads(args.outlines.read_text(encoding='utf-8'))
    outlines = [
        feature['geometry']
        for feature in collection['features']
        if feature['geometry']['type'] in ('Polygon', 'MultiPolygon')
    ]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for mode in args.modes:
            areas, start = {}, time.perf_counter()
            for raster in args.rasters:
                inside = inside_outlines(raster, outlines)
                localizer.set_image(raster, args.scales, mode, cache=Path(folder) / mode)
                pixels = localizer.locate(text=args.query).to_pixels().astype(np.float32)
                if inside.any():
                    areas[raster.stem] = area_under_roc(pixels, inside)
            seconds = time.perf_counter() - start
            each = ', '.join(f'{name} {area:.3f}' for name, area in areas.items())
            mean = float(np.mean(list(areas.values()))) if areas else float('nan')
            rows.append([mode, f'{mean:.3f}', f'{seconds:.1f}', each])
    print(f'{args.query!r} in {len(args.rasters)} rasters, windows of {args.scales}')
    print(timing.markdown(['', 'AUC', 's', 'each'], rows))


if __name__ == '__main__':
    main()
