"""Convert the JSON of RSICD, RSITMD (Karpathy's layout) or NWPU-Captions to annotation files.

``python tools/dataset_converters/karpathy.py dataset_nwpu.json --images data/nwpu/images --out
data/nwpu/annotations --name nwpu``. Images may lie in class folders.
RSITMD's file has no val: ``--split random`` or ``stratified`` draws a fifth of its training images.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import (  # noqa: E402
    add_converter_arguments,
    add_split_argument,
    given_path,
    run_tool,
)


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=given_path, metavar='file', help='the .json file')
    parser.add_argument(
        '--images',
        type=given_path,
        help='folder of images; without it names are taken as they are',
    )
    add_split_argument(parser)
    add_converter_arguments(parser)
    args = parser.parse_args()
    from urbancross_mm.datasets.converters.karpathy import convert
    from urbancross_mm.datasets.converters.options import DividedOptions, print_counts

    args.name = args.name or args.root.stem.lower().removeprefix('dataset_')
    print_counts(convert(DividedOptions(**vars(args))))


if __name__ == '__main__':
    run_tool(main)
