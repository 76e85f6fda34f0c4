"""Convert the "precomp" text files of RSICD, RSITMD, UCM or Sydney to annotation files.

``python tools/dataset_converters/precomp.py data/rsicd --images data/rsicd/images --out
data/rsicd/annotations`` writes ``rsicd_train.json``, ``_val.json``, ``_test.json`` and
``rsicd_vocab.json`` (the words of the training captions).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.datasets.converters.precomp import SPLITS, Options, convert  # noqa: E402
from urbancross_mm.utils.cli import run_tool  # noqa: E402


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=Path, help='folder of the .txt files, or the one above')
    parser.add_argument('--out', type=Path, required=True, help='folder for the annotations')
    parser.add_argument('--name', help='name of the data set (default: that of the folder)')
    parser.add_argument('--images', type=Path,
                        help='folder of pictures; without it names are taken as they are')
    parser.add_argument('--split', default='published', choices=SPLITS,
                        help='how to divide the training list into train and val: as published, '
                        'or 80/20 by a seed, at random or within each class')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only-present', action='store_true',
                        help='leave out pictures that are not in --images, and count them')
    parser.add_argument('--trainval', action='store_true',
                        help='also write the whole training list as <name>_trainval')
    parser.add_argument('--segments', type=Path, help='default: segments/ beside --images')
    parser.add_argument('--seg-maps', type=Path, help='default: seg_maps/ beside --images')
    parser.add_argument('--parquet', action='store_true', help='write Parquet instead of JSON')
    parser.add_argument('--force', action='store_true', help='overwrite')
    args = vars(parser.parse_args())
    suffix = '.parquet' if args.pop('parquet') else '.json'
    folder = args['root'].resolve()
    args['name'] = args['name'] or (folder.parent if folder.name == 'precomp' else folder).name
    for split, counts in convert(Options(**args, suffix=suffix)).items():
        print(f'{split}: ' + ', '.join(f'{n} {what.replace("_", " ")}'
                                       for what, n in counts.items()))


if __name__ == '__main__':
    run_tool(main)
