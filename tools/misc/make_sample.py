"""Write the sample world: small data in the published layouts, converted and ready for training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from urbancross_mm.utils.cli import run_tool  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', default='data/sample', help='folder to write (%(default)s)')
    parser.add_argument(
        '--images',
        type=int,
        default=None,
        help='images of every set (400 a country, 250 a precomp set)',
    )
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes (%(default)s)')
    parser.add_argument(
        '--image-size', type=int, default=128, help='image width in pixels (%(default)s)'
    )
    parser.add_argument(
        '--workers', type=int, default=None, help='processes (default: one per core)'
    )
    parser.add_argument(
        '--force', action='store_true', help='replace a sample that was made with other arguments'
    )
    parser.add_argument(
        '--no-convert',
        action='store_true',
        help='leave out the annotation files, write the published layouts alone',
    )
    return parser.parse_args()


def main() -> None:
    """Make the sample and convert it."""
    args = parse_args()
    from urbancross_mm.toy.convert import convert_sample
    from urbancross_mm.toy.world import make_sample

    summary = make_sample(
        args.root, args.images, args.seed, args.image_size, args.workers, args.force
    )
    if not args.no_convert:
        convert_sample(args.root, seed=args.seed)
    for name, counts in summary['counts'].items():
        print(f'{name}: ' + ', '.join(f'{number} {what}' for what, number in counts.items()))


if __name__ == '__main__':
    run_tool(main)
