"""Run the encoders of a config once: ``python tools/misc/extract_features.py CONFIG --out OUT``.

Writes the features of every image and every distinct caption, before the projection. Heads on
frozen encoders then train in seconds (``LoadFeatures``, ``FeatureTokenizer``); see
configs/baselines/linear_ucm.py.

OUT is a .npz file; or, for millions of tiles, a folder of Parquet shards:

    torchrun --nproc-per-node=8 tools/misc/extract_features.py CONFIG --out features --num-workers 8

Every process makes its own shards. The same command goes on after a stop.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_common_arguments, add_trust_argument, run_tool  # noqa: E402
from urbancross_mm.utils.files import check_outputs  # noqa: E402

if TYPE_CHECKING:
    from mmengine.config import Config


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
    parser.add_argument(
        '--out', required=True, help='the .npz file, or the folder of shards, to write'
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='replace an existing file, or the shards of other weights or changed images',
    )
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
    parser.add_argument(
        '--shard-size',
        type=int,
        default=8192,
        help='images, or captions, of a shard (%(default)s)',
    )
    parser.add_argument(
        '--skip-bad',
        action='store_true',
        help='leave out images that cannot be read; for shards only',
    )
    parser.add_argument(
        '--launcher',
        choices=['pytorch', 'slurm', 'mpi'],
        help='what started the processes that share the shards (default: torchrun, if it did)',
    )
    args = parser.parse_args()
    args.sharded = Path(args.out).suffix == ''
    if not args.sharded and not args.out.endswith('.npz'):
        parser.error(f'--out must end in .npz, or be a folder without a suffix, got {args.out}')
    args.launcher = args.launcher or ('pytorch' if 'WORLD_SIZE' in os.environ else 'none')
    return args


def write_shards(args: argparse.Namespace, cfg: Config) -> None:
    """Make the shards of this process."""
    import torch

    from urbancross_mm.inference.embedder import Embedder
    from urbancross_mm.inference.sharded_extraction import ShardedExtraction
    from urbancross_mm.utils.setup_env import launched_rank

    process = launched_rank(args.launcher)
    device = args.device
    if device is None and process.world_size > 1 and torch.cuda.is_available():
        device = f'cuda:{process.local_rank % torch.cuda.device_count()}'
    embedder = Embedder.from_config(
        cfg,
        args.checkpoint,
        device=device,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
    )
    summary = ShardedExtraction(
        cfg, embedder, args.out, args.shard_size, args.skip_bad, args.force, process
    ).run()
    rank = f'rank {process.rank}: ' if process.world_size > 1 else ''
    bad = f', {summary.skipped} unreadable images left out' if summary.skipped else ''
    print(
        f'{rank}wrote {summary.images} images and {summary.texts} captions{bad}; '
        f'{args.out} has {summary.total - summary.missing} of {summary.total} shards'
    )


def main() -> None:
    """Extract."""
    args = parse_args()
    if not args.sharded:
        if Path(args.out).exists() and not args.force:
            raise FileExistsError(f'{args.out} exists; --force replaces it')
        check_outputs([args.out])
    from urbancross_mm.apis import load_config
    from urbancross_mm.inference.feature_extraction import extract_features
    from urbancross_mm.toy import ensure_sample

    if args.sample:
        ensure_sample()
    cfg = load_config(args.config, args.cfg_options, args.sample)
    if args.sharded:
        return write_shards(args, cfg)
    if int(os.environ.get('WORLD_SIZE', 1)) > 1:
        raise ValueError(
            f'several processes cannot write one file, {args.out}: name a folder, without a suffix'
        )
    counts = extract_features(
        cfg, args.out, args.checkpoint, args.device, args.batch_size, args.num_workers
    )
    print(
        f'{args.out}: {counts["images"]} images ({counts["image_width"]} wide) and '
        f'{counts["texts"]} captions ({counts["text_width"]} wide)'
    )


if __name__ == '__main__':
    run_tool(main)
