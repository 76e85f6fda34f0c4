"""Windows against coarse-to-fine against dense, on exact masks.

``python benchmarks/localization.py CONFIG CKPT`` lays out scenes of the sample world as one GeoTIFF
and looks for what they hold by its name. It prints the area under the ROC curve (0.5 by chance) of
the heat map against the exact mask, the indicators of semantic localization with the outlines of
the objects as regions, each the mean of the queries, and what it costs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timing  # before torch: it pins the threads, and finds the package

QUERIES = {
    'plane': 'planes',
    'boat': 'boats',
    'tank': 'storage tanks',
    'pond': 'a pond',
    'river': 'a river',
    'track': 'a playground',
    'pool': 'a swimming pool',
    'court': 'a tennis court',
    'stadium': 'a stadium',
    'church': 'a church',
    'forest': 'a forest',
    'bridge': 'a bridge',
}
MODES = ('windows', 'coarse-to-fine', 'dense')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--sample', action='store_true', help='as of tools/train.py')
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none"')
    parser.add_argument('--country', default='finland', help='style of the scenes')
    parser.add_argument('--scenes', type=int, default=10, help='scenes a side')
    parser.add_argument('--pixels', type=int, default=128, help='side of a scene in pixels')
    parser.add_argument('--scales', type=int, nargs='+', default=[64, 96, 128])
    parser.add_argument('--modes', nargs='+', default=MODES, choices=MODES)
    parser.add_argument('--repeats', type=int, default=3, help='passes over the queries')
    parser.add_argument('--device')
    return parser.parse_args()


def draw_world(args: argparse.Namespace) -> tuple[np.ndarray, list[tuple[str, np.ndarray, Any]]]:
    """The mosaic, and of each object its kind, its pixels as flat numbers, and its outline."""
    from urbancross_mm.toy.world.countries import COUNTRIES
    from urbancross_mm.toy.world.generate import KINDS, build_scene
    from urbancross_mm.toy.world.render import render

    country, size = COUNTRIES[args.country], args.pixels
    side = args.scenes * size
    pixels, objects = np.zeros((side, side, 3), np.uint8), []
    for number in range(args.scenes**2):
        top, left = (place * size for place in divmod(number, args.scenes))
        scene = build_scene(country, (997, number), KINDS[number % len(KINDS)])
        drawn = render(scene, size)
        pixels[top : top + size, left : left + size] = drawn.image
        for index, item in enumerate(scene.items, 1):
            rows, columns = np.nonzero(drawn.ids == index)
            if item.kind in QUERIES and len(rows) >= 12:
                outline = np.clip(item.outline * size / country.extent, 0, size - 1)
                places = (rows + top) * side + columns + left
                objects.append((item.kind, places, outline + (left, top)))
    return pixels, objects


def write_mosaic(path: Path, pixels: np.ndarray) -> None:
    """As a tiled GeoTIFF somewhere on the globe."""
    import rasterio

    height, width = pixels.shape[:2]
    transform = rasterio.transform.from_origin(500000, 6600000, 0.5, 0.5)
    with rasterio.open(
        path, 'w', driver='GTiff', height=height, width=width, count=3, dtype='uint8',
        crs='EPSG:32635', transform=transform, tiled=True, compress='deflate',
    ) as file:  # fmt: skip
        file.write(pixels.transpose(2, 0, 1))


def measure(localizer: Any, mode: str, path: Path, args: argparse.Namespace, objects: list) -> list:
    """One row of the table."""
    from urbancross_mm.evaluation.metrics.semantic_localization_metric import NAMES, score_map
    from urbancross_mm.functional.localization import area_under_roc

    start = time.perf_counter()
    # Each mode encodes for itself.
    localizer.set_image(path, args.scales, mode, cache=path.parent / mode)
    prepared, before = time.perf_counter() - start, localizer.scan.encoded
    kinds = [kind for kind in QUERIES if any(kind == found for found, _, _ in objects)]
    start = time.perf_counter()
    heats = [localizer.locate(text=QUERIES[kind]) for kind in kinds]
    first = (time.perf_counter() - start) / len(kinds)
    later = (localizer.scan.encoded - before) / len(kinds)
    start = time.perf_counter()
    for _ in range(args.repeats):
        for kind in kinds:
            localizer.locate(text=QUERIES[kind])
    again = (time.perf_counter() - start) / len(kinds) / max(1, args.repeats)
    scores = []
    for kind, heat in zip(kinds, heats):
        pixels = heat.to_pixels()
        mask = np.zeros(pixels.size, bool)
        for found, places, _ in objects:
            mask[places[: len(places) * (found == kind)]] = True
        regions = [outline for found, _, outline in objects if found == kind]
        indicators = score_map(pixels, regions, window=args.pixels)
        area = area_under_roc(pixels.ravel().astype(np.float32), mask)
        scores.append([area, *(indicators[name] for name in NAMES)])
    costs = [f'{before}', f'{later:.0f}', f'{prepared:.1f}', f'{first:.2f}', f'{again:.2f}']
    return [mode, *(f'{value:.3f}' for value in np.mean(scores, axis=0)), *costs]


def main() -> None:
    """Draw, encode, look, print."""
    args = parse_args()
    from urbancross_mm.apis import SemanticLocalizer, load_config
    from urbancross_mm.inference.embedder import Embedder

    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    config = load_config(args.config, sample=args.sample)
    embedder = Embedder.from_config(config, checkpoint, device=args.device)
    pixels, objects = draw_world(args)
    localizer = SemanticLocalizer(embedder, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'mosaic.tif'
        write_mosaic(path, pixels)
        rows = []
        for mode in args.modes:
            rows.append(measure(localizer, mode, path, args, objects))
    print(
        f'{args.scenes**2} scenes of {args.country}, {len(pixels)} pixels a side, windows of '
        f'{args.scales}, {len(objects)} objects'
    )
    header = ['', 'AUC', 'Rsu', 'Ras', 'Rda', 'Rmi', 'encoded once', 'encoded a query']
    print(timing.markdown([*header, 's once', 's a new query', 's a known query'], rows))
    print(timing.settings())


if __name__ == '__main__':
    main()
