"""Convert the JSON of RSICD, RSITMD (Karpathy's layout) or NWPU-Captions to annotation files.

``python tools/dataset_converters/karpathy.py dataset_nwpu.json --images data/nwpu/images --out
data/nwpu/annotations --name nwpu``. Images may lie in class folders.
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
    parser.add_argument('root', type=given_path, metavar='file', help='the .json file')
    parser.add_argument(
        '--images',
        type=given_path,
        help='folder of images; without it names are taken as they are',
    )
    add_converter_arguments(parser)
    args = parser.parse_args()
    from urbancross_mm.datasets.converters.karpathy import convert
    from urbancross_mm.datasets.converters.options import Options, print_counts

    args.name = args.name or args.root.stem.lower().removeprefix('dataset_')
    print_counts(convert(Options(**vars(args))))


if __name__ == '__main__':
    run_tool(main)
