"""Put an annotated dataset into WebDataset shards, or index shards that exist.

``python tools/dataset_converters/web_shards.py data/rsicd/annotations/rsicd_train.json
--out data/rsicd/shards/train``

``python tools/dataset_converters/web_shards.py --index FOLDER`` counts the samples of shards that
another program wrote.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import given_path, run_tool  # noqa: E402


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'annotations', type=given_path, nargs='?', help='annotation file, .json or .parquet'
    )
    parser.add_argument('--out', type=given_path, help='folder for the shards')
    parser.add_argument(
        '--images', type=given_path, help='default: images/ beside the folder of the annotations'
    )
    parser.add_argument(
        '--shard-size', type=int, default=1000, help='samples of a shard (%(default)s)'
    )
    parser.add_argument('--index', type=given_path, metavar='FOLDER', help='only write shards.json')
    parser.add_argument('--force', action='store_true', help='replace shards')
    args = parser.parse_args()
    if (args.index is None) == (args.annotations is None or args.out is None):
        parser.error('give ANNOTATIONS with --out, or --index FOLDER')
    from urbancross_mm.datasets.converters.web_shards import index_shards, write_shards

    if args.index is not None:
        counts, out = index_shards(args.index), args.index
    else:
        counts, out = (
            write_shards(args.annotations, args.out, args.images, args.shard_size, args.force),
            args.out,
        )
    print(f'{out}: {", ".join(f"{count} {name}" for name, count in counts.items())}')


if __name__ == '__main__':
    run_tool(main)
