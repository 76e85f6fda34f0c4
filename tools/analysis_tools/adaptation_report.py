"""Say whether an adaptation helped, without a pair of the target.

``python tools/analysis_tools/adaptation_report.py CONFIG WORK_DIR`` encodes the target of an
adaptation by the source model and by the adapted one. It measures whether images and captions
fit, and estimates the gain in mR. It prints a verdict, and writes report.md, report.json and sheets
of the images and captions that fit nothing. tools/train.py ends every adaptation with it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument('checkpoint', help='adapted checkpoint file, or work directory')
    parser.add_argument(
        '--source', help='checkpoint that it started from (default: what the checkpoint says)'
    )
    parser.add_argument('--out', help='folder (default: report/ beside the checkpoint)')
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    return parser.parse_args()


def main() -> None:
    """Encode, measure, judge, write."""
    args = parse_args()
    from urbancross_mm.apis import load_config, report_adaptation
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    cfg = load_config(args.config, args.cfg_options, args.sample)
    report_adaptation(cfg, args.checkpoint, args.source, args.out, args.device)


if __name__ == '__main__':
    run_tool(main)
