"""Make the unlabeled target of an adaptation from a folder of images and a file of captions.

``python tools/dataset_converters/image_folder.py tiles/ --texts captions.txt --name mycity
--out data/mycity/annotations``
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'images', type=given_path, help='folder of images, searched with subfolders'
    )
    parser.add_argument(
        '--texts',
        type=given_path,
        required=True,
        nargs='+',
        help='text files, one caption of such an image per line; all of them are used',
    )
    parser.add_argument('--out', type=given_path, required=True, help='folder for the annotations')
    parser.add_argument('--name', required=True, help='of the dataset and its domain')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the choice of val images, a tenth',
    )
    parser.add_argument(
        '--skip-bad', action='store_true', help='leave out unreadable images, and count them'
    )
    parser.add_argument('--workers', type=int, default=2, help='threads (%(default)s)')
    parser.add_argument('--force', action='store_true', help='overwrite')
    args = parser.parse_args()
    from urbancross_mm.datasets.converters.image_folder import Options, convert
    from urbancross_mm.datasets.converters.options import print_counts

    print_counts(convert(Options(**vars(args))))


if __name__ == '__main__':
    run_tool(main)
