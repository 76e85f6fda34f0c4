"""Find where in a GeoTIFF a query is: ``python tools/locate.py CONFIG CKPT RASTER "a query"``.

Each query gives a heat map (``.tif``), its peaks and regions (``.geojson``) and an image
(``.png``). The raster is encoded once; what is encoded is kept in a folder beside it, so that the
next query is fast.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import (  # noqa: E402
    ConfigParser,
    add_common_arguments,
    add_trust_argument,
    given_path,
    run_tool,
)
from urbancross_mm.utils.files import check_outputs, write_all  # noqa: E402
from urbancross_mm.utils.raster_arguments import add_raster_arguments  # noqa: E402

if TYPE_CHECKING:
    from urbancross_mm.inference.localization import HeatMap

PRINTED = 3  # peaks of each query
ENDS = ('.tif', '.png', '_peaks.geojson', '_regions.geojson')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    parser.add_argument('raster', type=given_path, help='a GeoTIFF')
    parser.add_argument('query', nargs='+', help='texts, or paths of images to look for')
    parser.add_argument(
        '--out', type=given_path, default='outputs/locate', help='folder (default: %(default)s)'
    )
    add_raster_arguments(parser)
    parser.add_argument('--peaks', type=int, default=10, help='places a query (default: 10)')
    parser.add_argument(
        '--min-distance',
        type=float,
        help='pixels between two peaks (default: the side of the smallest window)',
    )
    parser.add_argument(
        '--threshold',
        type=float,
        default=0.8,
        help='regions lie above this share of the range of the map (default: %(default)s)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=32, help='windows per forward pass (default: 32)'
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    for name in ('peaks', 'batch_size'):
        if getattr(args, name) < 1:
            option = name.replace('_', '-')
            parser.error(f'--{option} must be at least 1, got {getattr(args, name)}')
    if not 0 <= args.threshold <= 1:
        parser.error(f'--threshold must be from 0 to 1, got {args.threshold}')
    if args.min_distance is not None and not args.min_distance > 0:
        parser.error(f'--min-distance must be above 0, got {args.min_distance}')
    return args


def names_of(queries: list[str | Path]) -> list[str]:
    """A file name of each query: its words, numbered where two are the same."""
    names: list[str] = []
    for query in queries:
        text = query.stem if isinstance(query, Path) else query
        short = re.sub(r'\W+', '-', text.lower()).strip('-')[:60] or 'query'
        numbered = (f'{short}_{number}' for number in count(2))
        names.append(next(name for name in chain([short], numbered) if name not in names))
    return names


def report(query: str | Path, heat: HeatMap, peaks: dict[str, Any]) -> None:
    """Print the best places of a query."""
    print(query)
    for feature in peaks['features'][:PRINTED]:
        known = feature['properties']
        position = ', '.join(f'{value:.6f}' for value in feature['geometry']['coordinates'])
        where = f'lon, lat {position}, ' if heat.place.crs else ''
        print(
            f'{known["rank"]:4d}  {known["score"]:.4f}  {where}'
            f'column {known["column"]:.0f}, row {known["row"]:.0f}'
        )


def main() -> None:
    """Encode the raster, then answer every query."""
    args = parse_args()
    from urbancross_mm.inference.image_files import read_query

    queries = [read_query(query) for query in args.query]
    names = names_of(queries)
    check_outputs(args.out / f'{name}{end}' for name in names for end in ENDS)
    if not args.raster.is_file():
        raise FileNotFoundError(f'no raster at {str(args.raster)!r}')
    from urbancross_mm.apis import SemanticLocalizer, load_config
    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    embedder = Embedder.from_config(
        load_config(args.config, args.cfg_options, args.sample),
        None if args.checkpoint == 'none' else args.checkpoint,
        device=args.device,
        batch_size=args.batch_size,
    )
    localizer = SemanticLocalizer(embedder)
    localizer.set_image(args.raster, args.scales, args.mode, args.bands, args.cache)
    print(localizer.summary())
    for query, name in zip(queries, names):
        kind = 'image' if isinstance(query, Path) else 'text'
        heat = localizer.locate(**{kind: query})
        peaks = heat.peaks(args.peaks, args.min_distance)
        report(query, heat, peaks)
        regions = heat.regions(args.threshold)
        heat.write(args.out / f'{name}.tif')
        heat.overlay(args.out / f'{name}.png')
        write_all(
            {
                args.out / f'{name}_{what}.geojson': json.dumps(found) + '\n'
                for what, found in (('peaks', peaks), ('regions', regions))
            }
        )
    print(f'heat maps, peaks, regions and images in {args.out}')


if __name__ == '__main__':
    run_tool(main)
