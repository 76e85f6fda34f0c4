"""Segment images cheaply, for data without SAM masks.

``python tools/dataset_converters/classical_segments.py data/ucm/images --out data/ucm/segments``
writes one run-length sidecar file per image. ``--method grid`` cuts cells; ``--method color`` takes
connected regions of one color (k-means in Lab and position), scored by area times compactness.
Run it before the caption converter, which names in the annotations what it finds in ``segments/``,
or give ``--annotations data/ucm/annotations/ucm_{train,val,test}.json`` to name them there now.
Files that exist are kept, so an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import add_segment_arguments, given_path, run_tool  # noqa: E402


def main() -> None:
    """Segment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('images', type=given_path, help='folder of images')
    parser.add_argument('--out', type=given_path, required=True, help='folder for the masks')
    parser.add_argument(
        '--method',
        default='color',
        choices=['color', 'grid'],
        help='regions of one color, or the cells of a grid (default: color)',
    )
    parser.add_argument('--num-segments', type=int, default=10, help='most segments per image')
    parser.add_argument('--colors', type=int, default=8, help='clusters of --method color')
    parser.add_argument(
        '--min-area',
        type=float,
        default=0.01,
        help='--method color drops regions below this part of the image',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the starts of --method color')
    add_segment_arguments(parser)
    args = vars(parser.parse_args())
    from urbancross_mm.datasets.converters.classical_segments import Options, convert
    from urbancross_mm.datasets.converters.segment_names import fill_and_report

    annotations = args.pop('annotations')
    counts = convert(Options(**args))
    print(f'{counts["images"]} images, {counts["segments"]} segments')
    if counts['kept']:
        print(f'{counts["kept"]} files of an earlier run kept (--force makes them again)')
    if counts['unreadable']:
        print(f'{counts["unreadable"]} unreadable images left out')
    fill_and_report(annotations, args['out'])


if __name__ == '__main__':
    run_tool(main)
