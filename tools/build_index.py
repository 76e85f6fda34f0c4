"""Encode images into an index, or bring it up to date.

``python tools/build_index.py CONFIG CKPT --images tiles/ city.tif --index city.index``

A source is a folder of images, an annotation file, a file of features or a GeoTIFF. An interrupted
run goes on where it was. Start it with torchrun to encode on several GPUs.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='checkpoint file, work directory, or "none": zero-shot')
    parser.add_argument(
        '--images',
        nargs='+',
        required=True,
        metavar='SOURCE',
        help='folders, annotation files, feature files or GeoTIFFs; NAME=SOURCE names one',
    )
    parser.add_argument(
        '--index',
        required=True,
        metavar='LOCATION',
        help='a folder, a folder that ends in .lance, or postgresql://...',
    )
    add_source_arguments(parser)
    parser.add_argument(
        '--skip-bad', action='store_true', help='leave out unreadable images, and print how many'
    )
    parser.add_argument(
        '--duplicates-above',
        type=float,
        metavar='COSINE',
        help='mark near-duplicates, e.g. above 0.999; slow for a million items (default: off)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=32, help='images per forward pass (%(default)s)'
    )
    parser.add_argument(
        '--num-workers', type=int, default=0, help='processes that read images (%(default)s)'
    )
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    return parser.parse_args()


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how sources are read."""
    parser.add_argument(
        '--tile-size', type=int, default=256, help='side of a window of a GeoTIFF (%(default)s)'
    )
    parser.add_argument(
        '--stride', type=int, help='pixels from one window to the next (default: the tile size)'
    )
    parser.add_argument(
        '--crs', default='EPSG:4326', help='CRS of world files beside images (%(default)s)'
    )
    parser.add_argument(
        '--attributes',
        metavar='FILE',
        help='.csv or .parquet with a column of image names: date, country, tags, ...',
    )


def device_of_rank(device: str | None) -> str | None:
    """Join the processes that torchrun has started; each has a GPU of its own."""
    if int(os.environ.get('WORLD_SIZE', 1)) == 1:
        return device
    from datetime import timedelta

    import torch

    # One rank may wait for another one that reads a slow disk.
    torch.distributed.init_process_group('gloo', timeout=timedelta(days=7))
    if device is None and torch.cuda.is_available():
        return f'cuda:{int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()}'
    return device


def main() -> None:
    """Build."""
    args = parse_args()
    from urbancross_mm.apis import load_config
    from urbancross_mm.inference.checkpoints import resolve_checkpoint
    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.inference.indexing import IndexBuilder, SourceOptions, open_sources
    from urbancross_mm.inference.indexing.attributes import read_attributes
    from urbancross_mm.toy import ensure_sample

    device = device_of_rank(args.device)
    first = int(os.environ.get('RANK', 0)) == 0
    if args.sample:
        ensure_sample()
    # A wrong path is refused before a model is loaded.
    sources = open_sources(args.images, SourceOptions(args.tile_size, args.stride, args.crs))
    table = None if args.attributes is None else read_attributes(args.attributes)
    for source in sources:
        if source.remark and first:
            print(source.remark)
    weights = None if args.checkpoint == 'none' else resolve_checkpoint(args.checkpoint)
    embedder = Embedder.from_config(
        load_config(args.config, args.cfg_options, args.sample),
        weights,
        device=device,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
    )
    builder = IndexBuilder(
        embedder, args.index, skip_bad=args.skip_bad, duplicates_above=args.duplicates_above
    )
    summary = builder.build(sources, table)
    if first:
        print(f'{args.index}: {summary}')


if __name__ == '__main__':
    run_tool(main)
