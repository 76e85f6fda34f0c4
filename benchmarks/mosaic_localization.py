"""Finding tiles of known class in one large GeoTIFF.

``python benchmarks/mosaic_localization.py CONFIG CKPT IMAGES --side 4000`` lays out the images of
class folders, such as UC Merced's, in random order as one GeoTIFF. Some classes are rare: they have
two tiles each, and the mosaic is full of the others. Each rare class is looked for by its name. It
prints, as means over the rare classes and for each mode:

- the rank of the first right tile among all tiles, by their mean score, and the rank by chance;
- the area under the ROC curve of the map, 0.5 by chance, and Rmi;
- seconds to encode the raster, seconds a query, and the peak of the memory beyond the model's.

Rounds take other classes as the rare ones. Beyond 5,000 pixels, Rmi is that of a map made smaller.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timing  # before torch: it pins the threads, and finds the package

MODES = ('windows', 'coarse-to-fine', 'dense')
LARGEST = 5000  # pixels a side of a map that Rmi is computed of
# Folders of UC Merced whose names are no words.
WORDS = {
    'baseballdiamond': 'baseball diamond',
    'denseresidential': 'dense residential area',
    'golfcourse': 'golf course',
    'mediumresidential': 'medium residential area',
    'mobilehomepark': 'mobile home park',
    'parkinglot': 'parking lot',
    'sparseresidential': 'sparse residential area',
    'storagetanks': 'storage tanks',
    'tenniscourt': 'tennis court',
}


class Mosaic(NamedTuple):
    """A raster and the class of each of its tiles, row by row."""

    path: Path
    side: int
    tile: int
    classes: np.ndarray

    @property
    def across(self) -> int:
        """Tiles a side."""
        return self.side // self.tile


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none"')
    parser.add_argument('images', type=Path, help='folder of folders, one a class')
    parser.add_argument('--sample', action='store_true', help='as of tools/train.py')
    parser.add_argument('--side', type=int, default=4000, help='of the mosaic, in pixels')
    parser.add_argument('--tile', type=int, default=256, help='side of a tile, in pixels')
    parser.add_argument('--rare', type=int, default=7, help='classes with two tiles only')
    parser.add_argument('--rounds', type=int, default=3, help='mosaics with other rare classes')
    parser.add_argument('--template', default='a satellite photo of a {}', help='of a query')
    parser.add_argument('--scales', type=int, nargs='+', default=[256, 512, 768])
    parser.add_argument('--modes', nargs='+', default=['windows', 'dense'], choices=MODES)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--keep', type=Path, help='folder for the mosaics (default: temporary)')
    parser.add_argument('--device')
    return parser.parse_args()


def lay_out(args: argparse.Namespace, number: int, folder: Path) -> tuple[Mosaic, list[str]]:
    """Write a mosaic, row of tiles by row of tiles; also the rare classes."""
    import rasterio

    from urbancross_mm.datasets.transforms.geometry import resize_image
    from urbancross_mm.utils.image_files import list_image_files
    from urbancross_mm.utils.images import read_image

    files: dict[str, list[str]] = {}
    for path in list_image_files(args.images).paths:
        files.setdefault(Path(path).parent.name, []).append(path)
    names = np.random.default_rng(args.seed).permutation(sorted(files)).tolist()
    names = np.roll(names, -number * args.rare).tolist()
    rare, common = names[: args.rare], names[args.rare :]
    across, rng = args.side // args.tile, np.random.default_rng((args.seed, number))
    classes = [*rare, *rare, *rng.choice(common, across**2 - 2 * len(rare))]
    order = rng.permutation(len(classes))
    queues = {name: rng.permutation(files[name]).tolist() for name in names}
    path = folder / f'mosaic_{args.side}_{number}.tif'
    with rasterio.open(
        path, 'w', driver='GTiff', height=args.side, width=args.side, count=3, dtype='uint8',
        crs='EPSG:32611', transform=rasterio.transform.from_origin(5e5, 4e6, 0.3, 0.3),
        tiled=True, compress='deflate', BIGTIFF='IF_SAFER',
    ) as file:  # fmt: skip
        for row in range(across):
            strip = np.zeros((args.tile, args.side, 3), np.uint8)
            for column in range(across):
                queue = queues[classes[order[row * across + column]]]
                queue.append(queue.pop(0))  # from the start again once all were used
                image = resize_image(read_image(queue[-1])[0], (args.tile, args.tile), 'bicubic')
                strip[:, column * args.tile : (column + 1) * args.tile] = image
            window = rasterio.windows.Window(0, row * args.tile, args.side, args.tile)
            file.write(strip.transpose(2, 0, 1), window=window)
    return Mosaic(path, args.side, args.tile, np.array(classes)[order]), rare


def score_query(heat: Any, mosaic: Mosaic, name: str) -> list[float]:
    """Rank of the first right tile, area under the curve, and Rmi."""
    from urbancross_mm.functional.localization import area_under_roc

    across, right = mosaic.across, mosaic.classes == name
    middles = [(np.arange(length) + 0.5) * heat.cell // mosaic.tile for length in heat.shape]
    tiles = middles[0][:, None] * across + middles[1]
    inside = (middles[0] < across)[:, None] & (middles[1] < across)
    tiles, values = tiles[inside].astype(int), heat.values[inside].astype(np.float64)
    sums = np.bincount(tiles, values, across**2) / np.bincount(tiles, minlength=across**2)
    rank = 1 + int((sums > sums[right].max()).sum())
    return [rank, area_under_roc(values, right[tiles]), mean_indicator_of(heat, mosaic, right)]


def mean_indicator_of(heat: Any, mosaic: Mosaic, right: np.ndarray) -> float:
    """Rmi with the right tiles as regions."""
    import cv2

    from urbancross_mm.evaluation.metrics.semantic_localization_metric import score_map
    from urbancross_mm.visualization.heat_map import scale_values

    if mosaic.side <= LARGEST:
        shrink, pixels = 1.0, heat.to_pixels()
    else:
        shrink = LARGEST / (heat.cell * max(heat.shape))
        scaled = 255 * scale_values(heat.values)
        pixels = cv2.resize(scaled, (LARGEST, LARGEST)).round().astype(np.uint8)
    regions = []
    for row, column in zip(*divmod(np.flatnonzero(right), mosaic.across)):
        box = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (mosaic.tile - 1)
        regions.append((box + (column * mosaic.tile, row * mosaic.tile)) * shrink)
    return score_map(pixels, regions)['Rmi']


def measure(localizer: Any, mode: str, mosaic: Mosaic, rare: list[str], args: Any) -> list[float]:
    """Means over the rare classes, then the costs."""
    found: dict[str, Any] = {}
    seconds = {'once': 0.0, 'query': 0.0}

    def work() -> None:
        start = time.perf_counter()
        # Each mode encodes for itself.
        localizer.set_image(mosaic.path, args.scales, mode, cache=mosaic.path.parent / mode)
        seconds['once'] = time.perf_counter() - start
        start = time.perf_counter()
        for name in rare:
            text = args.template.format(WORDS.get(name, name))
            found[name] = localizer.locate(text=text)
            found[name].values  # noqa: B018  the map itself
        seconds['query'] = (time.perf_counter() - start) / len(rare)

    peak = timing.peak_memory(work)
    scores = np.mean([score_query(heat, mosaic, name) for name, heat in found.items()], axis=0)
    return [*scores.tolist(), seconds['once'], seconds['query'], math.nan if peak is None else peak]


def main() -> None:
    """Lay out, encode, look, print."""
    args = parse_args()
    from urbancross_mm.apis import SemanticLocalizer, load_config
    from urbancross_mm.inference.embedder import Embedder

    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    embedder = Embedder.from_config(
        load_config(args.config, sample=args.sample),
        checkpoint,
        device=args.device,
        batch_size=args.batch_size,
    )
    localizer = SemanticLocalizer(embedder)
    results: dict[str, list[list[float]]] = {mode: [] for mode in args.modes}
    for number in range(args.rounds):
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.keep or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            mosaic, rare = lay_out(args, number, folder)
            for mode in args.modes:
                results[mode].append(measure(localizer, mode, mosaic, rare, args))
    tiles = (args.side // args.tile) ** 2
    print(
        f'{args.rounds} mosaics of {args.side} pixels a side, {tiles} tiles of {args.tile} pixels, '
        f'{args.rare} classes of 2 tiles each; windows of {args.scales}; query {args.template!r}'
    )
    # The first of two among N in random order.
    chance = (tiles + 1) / 3
    rows = [
        [mode, *(f'{value:.3g}' for value in np.mean(results[mode], axis=0))] for mode in args.modes
    ]
    header = ['', f'rank (chance {chance:.0f})', 'AUC', 'Rmi', 's once', 's a query']
    print(timing.markdown([*header, 'peak extra MiB'], rows))
    print(timing.settings(device=args.device or 'default'))


if __name__ == '__main__':
    main()
