"""Convert published ``image_segments/<stem>/<stem>_<k>.jpg`` folders to run-length masks.

``python tools/dataset_converters/segment_folders.py data/urbancross/Finland`` writes
``data/urbancross/Finland/segments/<stem>.json``. Run it before ``urbancross.py``, which names in
the annotations what it finds there, or give ``--annotations FILE ...`` to name them there now.
Files that exist are kept, so an interrupted run resumes. A mask is what is not white in a JPEG, so
it is approximate at its border.

``--sam FOLDER`` reads what Segment Anything wrote instead: the folders or, with
``--convert-to-rle``, the ``.json`` files of its ``amg.py``, or files of SA-1B. Below the folder,
they are named like the images below ``ROOT/images``.
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
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'root', type=given_path, help='data root with image_segments/ (and images/)'
    )
    parser.add_argument(
        '--sam',
        type=given_path,
        metavar='FOLDER',
        help='output of SAM to read instead of image_segments/',
    )
    parser.add_argument(
        '--out', type=given_path, help='folder for the masks (default: ROOT/segments)'
    )
    parser.add_argument(
        '--white',
        type=int,
        default=235,
        help='a pixel is background if no channel is darker than this',
    )
    parser.add_argument(
        '--clean',
        type=float,
        default=0.001,
        help='repair specks and holes below this part of the image',
    )
    parser.add_argument(
        '--limit', type=int, help='keep only the first segments, by number (of SAM: the best)'
    )
    add_segment_arguments(parser)
    args = vars(parser.parse_args())
    from urbancross_mm.datasets.converters.segment_folders import Options, convert
    from urbancross_mm.datasets.converters.segment_names import fill_and_report

    annotations = args.pop('annotations')
    summary = convert(Options(**args))
    print(f'{summary.images} images, {summary.segments} segments')
    if summary.kept:
        print(f'{summary.kept} files of an earlier run kept (--force makes them again)')
    if summary.ignored:
        print(
            f'{len(summary.ignored)} files ignored, not named <stem>_<number>, first: '
            f'{summary.ignored[0]}'
        )
    if summary.bad:
        print(f'{len(summary.bad)} images left out, first: {summary.bad[0]}')
    fill_and_report(annotations, args['out'] or args['root'] / 'segments')


if __name__ == '__main__':
    run_tool(main)
