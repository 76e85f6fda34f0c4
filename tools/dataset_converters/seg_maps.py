"""Convert published masks to class maps, and name them in annotations.

``python tools/dataset_converters/seg_maps.py data/rsitmd --layout rsitmd-ss --annotations
data/rsitmd/annotations/rsitmd_*.json`` reads ``masks/mask_<stem>.png`` and adds the maps to images
with captions. ``... data/loveda --layout mmseg --classes loveda --reduce-zero-label`` reads
``img_dir/`` and ``ann_dir/``, as mmseg's converters write them, and makes annotations without
captions. ``... data/dronedeploy --layout legend --legend legend.json --val 0.1`` reads palette PNG
or masks of colors. The maps go to ``ROOT/seg_maps/``; a pixel of no class is 255.
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
    args = vars(_parser().parse_args())
    from urbancross_mm.datasets.converters.options import print_counts
    from urbancross_mm.datasets.converters.seg_map_splits import SplitRule
    from urbancross_mm.datasets.converters.seg_maps import Options, convert

    rule = SplitRule(
        **{key: args.pop(key) for key in ('val', 'test', 'group', 'seed')},
        **{key: tuple(args.pop(key)) for key in ('val_groups', 'test_groups')},
    )
    listed = {key: tuple(args.pop(key)) for key in ('annotations', 'classes')}
    print_counts(convert(Options(**args, **listed, split=rule)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=given_path, help='data root; gets seg_maps/ and annotations/')
    parser.add_argument(
        '--layout',
        required=True,
        choices=['rsitmd-ss', 'mmseg', 'legend'],
        help='what the masks look like',
    )
    parser.add_argument(
        '--annotations',
        nargs='+',
        type=given_path,
        default=[],
        metavar='JSON',
        help='annotation files in which to name the maps (default: make new ones, no captions)',
    )
    parser.add_argument('--images', type=given_path, help='default: that of the layout in ROOT')
    parser.add_argument('--masks', type=given_path, help='default: that of the layout in ROOT')
    parser.add_argument('--name', help='name of the dataset (default: that of ROOT)')
    parser.add_argument(
        '--classes',
        nargs='+',
        default=[],
        help='mmseg: the names in order of their index, or loveda, potsdam, isaid ...',
    )
    parser.add_argument('--reduce-zero-label', action='store_true', help='mmseg: 0 is no class')
    parser.add_argument(
        '--legend',
        type=given_path,
        help='name to color, or value to name (default: legend.json in ROOT)',
    )
    parser.add_argument(
        '--suffix',
        default='',
        help="after an image's name in that of its mask, such as iSAID's _instance_color_RGB",
    )
    _add_split_arguments(parser)
    parser.add_argument('--workers', type=int, default=2, help='threads (%(default)s)')
    parser.add_argument('--force', action='store_true', help='overwrite')
    return parser


def _add_split_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        'splits of new annotations', 'default: the first folder below the images: train, val, test'
    )
    group.add_argument('--val', type=float, help='share of the images that is drawn for val')
    group.add_argument('--test', type=float, help='share of the images that is drawn for test')
    group.add_argument(
        '--group', help='regular expression that finds the group (scene) in the name of an image'
    )
    group.add_argument('--val-groups', nargs='+', default=[], help='groups that are val as a whole')
    group.add_argument(
        '--test-groups', nargs='+', default=[], help='groups that are test as a whole'
    )
    group.add_argument('--seed', type=int, default=0, help='of the draw (%(default)s)')


if __name__ == '__main__':
    run_tool(main)
