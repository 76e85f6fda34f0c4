"""Convert the "precomp" text files of RSICD, RSITMD, UCM or Sydney to annotation files.

``python tools/dataset_converters/precomp.py data/rsicd --images data/rsicd/images --out
data/rsicd/annotations`` writes ``rsicd_train.json``, ``_val.json``, ``_test.json`` and
``rsicd_vocab.json`` (the words of the training captions). UCM has no published division into train
and val and names its images by number: give ``--split stratified`` and ``--images``.
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
    parser.add_argument('root', type=given_path, help='folder of the .txt files, or the one above')
    parser.add_argument(
        '--images',
        type=given_path,
        help='folder of images; without it names are taken as they are',
    )
    add_split_argument(parser)
    parser.add_argument(
        '--trainval',
        action='store_true',
        help='also write the whole training list as <name>_trainval',
    )
    parser.add_argument(
        '--audio',
        type=given_path,
        help='folder of the recordings that *_audio(s).txt name; without it names are taken as '
        'they are',
    )
    add_converter_arguments(parser)
    args = parser.parse_args()
    from urbancross_mm.datasets.converters.options import print_counts
    from urbancross_mm.datasets.converters.precomp import Options, convert

    folder = args.root.resolve()
    folder = folder.parent if folder.name == 'precomp' else folder
    args.name = args.name or folder.name.lower().removesuffix('_precomp')
    print_counts(convert(Options(**vars(args))))


if __name__ == '__main__':
    run_tool(main)
