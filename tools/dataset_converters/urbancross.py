"""Convert a country of UrbanCross to annotation files.

``python tools/dataset_converters/urbancross.py data/urbancross/Finland --out
data/urbancross/Finland/annotations`` writes train, val, test, finetune and finetune_val. Published
``*_list.txt`` files decide the splits where they exist; else a seeded nested split does, whose test
part is never fine-tuned on. ``--csv`` takes any table with one row per image: SkyScript's columns
``filepath`` and ``title`` are known, others are named with ``--image-column`` and
``--caption-column``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import add_converter_arguments, given_path, run_tool  # noqa: E402


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=given_path, help='folder of the country')
    parser.add_argument(
        '--images',
        type=given_path,
        help='folder of images (default: ROOT/images, if it is there)',
    )
    parser.add_argument('--csv', type=given_path, help='descriptions (default: the *refine*.csv)')
    parser.add_argument(
        '--image-column',
        help="column of image names (default: image_name, or SkyScript's filepath)",
    )
    parser.add_argument(
        '--caption-column', help="column of captions (default: description, or SkyScript's title)"
    )
    parser.add_argument(
        '--split',
        default='auto',
        choices=['auto', 'lists', 'nested'],
        help='*_list.txt files, a drawn nested split, or the lists if there are any (%(default)s)',
    )
    add_converter_arguments(parser)
    args = parser.parse_args()
    from urbancross_mm.datasets.converters.options import print_counts
    from urbancross_mm.datasets.converters.urbancross import Options, convert

    args.name = args.name or args.root.resolve().name.lower()
    print_counts(convert(Options(**vars(args))))


if __name__ == '__main__':
    run_tool(main)
