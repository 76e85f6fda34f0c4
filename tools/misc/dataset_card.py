"""Describe a dataset on one page: ``python tools/misc/dataset_card.py DATA --out card.html``.

DATA is the folder of a dataset, with annotations/, images/ and, if there are any, segments/ and
manifest/ (of its curation). Or DATA are annotation files, with --data-root. The page shows counts,
captions, words, tags, a map of the tiles, samples with their segments, scores, why images were
dropped, and what the splits share. ``--out card.md`` writes Markdown with images beside it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import run_tool  # noqa: E402
from urbancross_mm.utils.files import check_outputs  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', nargs='+', help='folder of a dataset, or annotation files')
    parser.add_argument('--out', required=True, help='file to write, .html or .md')
    parser.add_argument('--format', choices=['html', 'md'], help='default: the suffix of --out')
    parser.add_argument(
        '--data-root',
        help='folder with images/ and segments/ (default: the folder above that of the '
        'annotation files)',
    )
    parser.add_argument('--images', default='images', help='folder of images below --data-root')
    parser.add_argument(
        '--manifest',
        help='folder of the manifests of the curation (default: manifest/ below --data-root, if '
        'it exists)',
    )
    parser.add_argument(
        '--samples', type=int, default=6, help='number of sample images per split (%(default)s)'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='random seed of the samples (%(default)s)'
    )
    parser.add_argument(
        '--distance',
        type=int,
        default=2,
        help='most bits of a 64-bit difference hash that differ between near-duplicate images '
        '(%(default)s)',
    )
    parser.add_argument(
        '--no-pixels',
        action='store_true',
        help='do not decode every image: faster, but repeated images are not found',
    )
    parser.add_argument('--workers', type=int, default=2, help='number of threads that decode')
    return parser.parse_args()


def main() -> None:
    """Describe."""
    args = parse_args()
    from urbancross_mm.curation.card import (
        find_annotations,
        format_of,
        make_card,
        write_card,
    )

    format_of(args.out, args.format)
    check_outputs([args.out])
    for path in args.data:
        if not Path(path).exists():
            raise FileNotFoundError(f'no folder or file {path}')
    folder = len(args.data) == 1 and Path(args.data[0]).is_dir()
    paths = find_annotations(args.data[0]) if folder else [Path(path) for path in args.data]
    root = args.data_root or (args.data[0] if folder else paths[0].parent.parent)
    card = make_card(
        paths,
        root,
        args.manifest,
        args.images,
        args.samples,
        args.seed,
        not args.no_pixels,
        args.workers,
        args.distance,
    )
    written = write_card(card, args.out, args.format)
    more = f' and {len(written) - 1} images beside it' if len(written) > 1 else ''
    print(f'wrote {written[0]}{more}: {len(paths)} annotation files of {card.title}')


if __name__ == '__main__':
    run_tool(main)
