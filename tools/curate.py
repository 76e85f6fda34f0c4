"""Make a dataset from tiles: captions, segments and splits, with every decision on record.

    python tools/curate.py configs/curation/no-weights.py --in tiles/ --out data/mycountry

runs the stages of the config and writes ``images/``, ``segments/``, ``annotations/`` and, for each
stage, ``manifest/<stage>.jsonl`` with a line an image. Called again, it does what is missing or
what a change of the config, the model or the prompt touches.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import add_trust_argument, run_tool  # noqa: E402
from urbancross_mm.utils.options import ConfigOptions  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='configs/curation/*.py')
    parser.add_argument(
        '--in',
        dest='source',
        required=True,
        metavar='DIR',
        help='folder of tiles and GeoTIFFs, searched with its subfolders',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the dataset')
    parser.add_argument(
        '--stages',
        nargs='+',
        metavar='STAGE',
        help='run these alone; those before them must have been run',
    )
    parser.add_argument('--device', default='cpu', help='of the models: cpu, cuda, cuda:1, ...')
    add_trust_argument(parser)
    parser.add_argument('--workers', type=int, default=1, help='threads for images')
    parser.add_argument(
        '--limit',
        type=int,
        help='only the first images, to try a config; refused where a larger set lies',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        default={},
        metavar='KEY=VALUE',
        help='override settings, e.g. tile.size=256',
    )
    args = parser.parse_args()
    if args.workers < 1 or (args.limit is not None and args.limit < 1):
        parser.error(
            f'--workers and --limit must be at least 1, got {args.workers} and {args.limit}'
        )
    return args


def main() -> int:
    """Run.

    Returns:
        int: 1 if an image failed; a dropped one is no failure.
    """
    args = parse_args()
    from urbancross_mm.curation.core.run import load_curation, run_curation

    reports = run_curation(
        load_curation(args.config, args.cfg_options),
        args.source,
        args.out,
        args.stages,
        args.device,
        args.workers,
        args.limit,
    )
    return 1 if any(report.counts['failed'] for report in reports) else 0


if __name__ == '__main__':
    run_tool(main)
