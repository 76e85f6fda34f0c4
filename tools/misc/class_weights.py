"""Weights of rare classes for ``mmseg.CrossEntropyLoss(class_weight='weights.json')``.

``python tools/misc/class_weights.py data/rsitmd/annotations/rsitmd_train.json --out weights.json``
writes the list of ``max_k n_k / n_c``, where n_c is the number of pixels of class c in the training
split.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import given_path, run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write, check_outputs  # noqa: E402


def main() -> None:
    """Weigh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'annotations', type=given_path, help='annotation file of the training split'
    )
    parser.add_argument('--out', type=given_path, required=True, help='file of the weights, .json')
    parser.add_argument('--cap', type=float, help='largest weight (default: no bound)')
    parser.add_argument(
        '--seg-maps',
        type=given_path,
        help='count the pixels of the maps in this folder, not those that the file states',
    )
    parser.add_argument('--workers', type=int, default=2, help='threads that read maps')
    args = parser.parse_args()
    from urbancross_mm.datasets.class_weights import class_weights, count_class_pixels

    check_outputs([args.out])
    pixels = count_class_pixels(args.annotations, args.seg_maps, args.workers)
    weights = class_weights(list(pixels.values()), args.cap)
    atomic_write(args.out, json.dumps(weights) + '\n')
    total = sum(pixels.values())
    for (name, number), weight in zip(pixels.items(), weights):
        remark = '' if number else '  never occurs, so it is not weighed'
        print(f'{name}: {100 * number / total:.2f} % of the pixels, weight {weight:.4g}{remark}')


if __name__ == '__main__':
    run_tool(main)
