"""Propose which images of a target to label before adapting to it.

``python tools/analysis_tools/propose_anchors.py configs/adapt.py work_dirs/urbancross_finland
--cfg-options CONFIG=urbancross_finland.py TARGET=mycity --out labels/`` pairs the images and texts
of the target as the adaptation would, with the source model, and takes images from the middle of
the groups that it is least sure of. It writes ``anchors.csv``, with the caption that it guesses,
and ``anchors.html``, which shows the images. Fill in ``caption`` or ``class``, and adapt with
``ANCHORS=labels/anchors.csv``. Rows left empty do no harm.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import (  # noqa: E402
    ConfigParser,
    add_common_arguments,
    add_trust_argument,
    given_path,
    run_tool,
)
from urbancross_mm.utils.files import write_all  # noqa: E402

if TYPE_CHECKING:
    from urbancross_mm.inference.anchor_proposals import Proposal


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='of the source model: a file or a work directory')
    parser.add_argument('--out', type=given_path, required=True, help='folder of both files')
    parser.add_argument('--count', type=int, default=20, help='images to label (default: 20)')
    parser.add_argument('--seed', type=int, default=0, help='of the groups (default: 0)')
    parser.add_argument('--force', action='store_true', help='replace files that are there')
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    args = parser.parse_args()
    if args.count < 1:
        parser.error(f'--count must be at least 1, got {args.count}')
    return args


def to_csv(proposals: list[Proposal]) -> str:
    """A table to fill in."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['image', 'caption', 'class', 'guess'])
    writer.writerows([one.img_id, '', '', one.guess] for one in proposals)
    return text.getvalue()


def main() -> None:
    """Propose and write."""
    args = parse_args()
    from urbancross_mm.apis import load_config
    from urbancross_mm.datasets.converters.options import refuse_overwrite
    from urbancross_mm.inference.anchor_proposals import propose_anchors
    from urbancross_mm.toy import ensure_sample
    from urbancross_mm.visualization import label_sheet

    table, sheet = args.out / 'anchors.csv', args.out / 'anchors.html'
    refuse_overwrite([table, sheet], args.force)
    if args.sample:
        ensure_sample()
    cfg = load_config(args.config, args.cfg_options, args.sample)
    proposals = propose_anchors(cfg, args.checkpoint, args.count, args.device, args.seed)
    page = label_sheet(proposals, f'{len(proposals)} images to label')
    write_all({table: to_csv(proposals), sheet: page})
    print(
        f'{len(proposals)} images to label: look at {sheet}, fill in {table}, and adapt with '
        f'--cfg-options ANCHORS={table}'
    )


if __name__ == '__main__':
    run_tool(main)
