"""Run the encoders of a config once: ``python tools/misc/extract_features.py CONFIG --out FILE``.

Writes the features of every image and every distinct caption, before the projection. Heads on
frozen encoders then train in seconds (``LoadFeatures``, ``FeatureTokenizer``); see
configs/baselines/linear_ucm.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402
from urbancross_mm.utils.files import check_outputs  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    add_trust_argument(parser)
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file or work directory of the config (default: the '
        'pretrained weights that it names)',
    )
    parser.add_argument('--out', required=True, help='the .npz file to write')
    parser.add_argument('--force', action='store_true', help='replace an existing file')
    parser.add_argument('--device', help='cpu, cuda, ... (default: the GPU if there is one)')
    parser.add_argument(
        '--batch-size',
        type=int,
        default=32,
        help='images, or captions, per forward pass (%(default)s)',
    )
    parser.add_argument(
        '--num-workers', type=int, default=0, help='processes that read images (%(default)s)'
    )
    args = parser.parse_args()
    if not args.out.endswith('.npz'):
        parser.error(f'--out must end in .npz, got {args.out}')
    return args


def main() -> None:
    """Extract."""
    args = parse_args()
    if Path(args.out).exists() and not args.force:
        raise FileExistsError(f'{args.out} exists; --force replaces it')
    check_outputs([args.out])
    from urbancross_mm.apis import load_config
    from urbancross_mm.inference.feature_extraction import extract_features
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    cfg = load_config(args.config, args.cfg_options, args.sample)
    counts = extract_features(
        cfg, args.out, args.checkpoint, args.device, args.batch_size, args.num_workers
    )
    print(
        f'{args.out}: {counts["images"]} images ({counts["image_width"]} wide) and '
        f'{counts["texts"]} captions ({counts["text_width"]} wide)'
    )


if __name__ == '__main__':
    run_tool(main)
