"""Convert a Karpathy-style JSON (RSICD, RSITMD, NWPU-Captions) to annotation files.

``python tools/dataset_converters/karpathy.py dataset_nwpu.json --out data/nwpu/annotations
--name nwpu``
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.datasets.converters.karpathy import convert  # noqa: E402
from urbancross_mm.utils.cli import run_tool  # noqa: E402


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=Path, help='the .json file')
    parser.add_argument('--out', type=Path, required=True, help='folder for the annotations')
    parser.add_argument('--name', required=True, help='name of the data set')
    parser.add_argument('--images', type=Path, help='folder of pictures')
    parser.add_argument('--only-present', action='store_true',
                        help='leave out pictures that are not in --images, and count them')
    parser.add_argument('--force', action='store_true', help='overwrite')
    for split, counts in convert(**vars(parser.parse_args())).items():
        print(f'{split}: {counts["images"]} pictures, {counts["captions"]} captions')


if __name__ == '__main__':
    run_tool(main)
