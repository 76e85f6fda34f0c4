"""Convert a country of UrbanCross to annotation files.

``python tools/dataset_converters/urbancross.py data/urbancross/Finland --out
data/urbancross/Finland/annotations`` writes train, val, test, finetune and finetune_val. Published
``*_list.txt`` files decide the splits where they exist; else a seeded nested split does, whose test
part is never fine-tuned on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.datasets.converters.urbancross import Options, convert  # noqa: E402
from urbancross_mm.utils.cli import run_tool  # noqa: E402


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=Path, help='folder of the country')
    parser.add_argument('--out', type=Path, required=True, help='folder for the annotations')
    parser.add_argument('--name', help='name of the data set (default: the folder, lower case)')
    parser.add_argument('--csv', type=Path, help='descriptions (default: the *refine*.csv)')
    parser.add_argument('--seed', type=int, default=0, help='of the split')
    parser.add_argument('--only-present', action='store_true',
                        help='leave out pictures that are not on disk, and count them')
    parser.add_argument('--parquet', action='store_true', help='write Parquet instead of JSON')
    parser.add_argument('--force', action='store_true', help='overwrite')
    args = vars(parser.parse_args())
    suffix = '.parquet' if args.pop('parquet') else '.json'
    args['name'] = args['name'] or args['root'].resolve().name.lower()
    for split, counts in convert(Options(**args, suffix=suffix)).items():
        print(f'{split}: {counts["images"]} pictures, {counts["captions"]} captions')


if __name__ == '__main__':
    run_tool(main)
