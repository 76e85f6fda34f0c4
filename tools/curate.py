"""Make a dataset from tiles: captions, segments, splits and annotations.

    python tools/curate.py configs/curation/no-weights.py --in tiles/ --out data/mycountry

runs the stages of the config. It writes images/, segments/ and annotations/ and, for each stage,
manifest/<stage>.jsonl with one line per image. Run it again to resume, or after a change of the
config, a model or a prompt: only what is missing or changed is done again.
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
    parser.add_argument('config', help='config file, see configs/curation/')
    parser.add_argument(
        '--in',
        dest='source',
        required=True,
        metavar='DIR',
        help='folder of tiles and GeoTIFFs, with subfolders',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the dataset')
    parser.add_argument(
        '--stages',
        nargs='+',
        metavar='STAGE',
        help='run only these stages; those before them must be done',
    )
    parser.add_argument(
        '--device', default='cpu', help='device of the models: cpu, cuda, cuda:1, ...'
    )
    add_trust_argument(parser)
    parser.add_argument('--workers', type=int, default=1, help='number of threads')
    parser.add_argument(
        '--limit',
        type=int,
        metavar='N',
        help='process only the first N images; refused if OUT already holds more',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        default={},
        metavar='KEY=VALUE',
        help='override options of the stages, such as tile.size=256',
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
        int: 1 if an image failed; a dropped image is not a failure.
    """
    args = parse_args()
    from urbancross_mm.curation.config import load_curation
    from urbancross_mm.curation.run import run_curation

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
