"""Train a retriever: ``python tools/train.py configs/urbancross_finland.py``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_run_arguments, run_tool  # noqa: E402

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_run_arguments(parser)
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='go on from CKPT, or from the last whole checkpoint in the work dir',
    )
    earlier.add_argument(
        '--overwrite',
        action='store_true',
        help='remove the checkpoints of an earlier training in the work dir',
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate by batch size x ranks'
    )
    parser.add_argument('--no-validate', action='store_true', help='train without validation')
    parser.add_argument(
        '--no-report',
        action='store_true',
        help='of an adaptation: do not end with the report (docs/how-to/adapt.md)',
    )
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> Config:
    """Merge the command line into the config."""
    from urbancross_mm.apis import config_of, resolve_source_checkpoint, set_resume, use_bfloat16
    from urbancross_mm.utils.config import nested_dicts

    cfg = config_of(args)
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        if not cfg.get(key):
            raise ValueError(f'{args.config} has no {key}, which a training needs')
    set_resume(cfg, args.resume)
    resolve_source_checkpoint(cfg)
    if args.amp:
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
        cfg.optim_wrapper.pop('loss_scale', None)
        use_bfloat16(cfg, 'val_cfg')
    if args.auto_scale_lr:
        cfg.auto_scale_lr = dict(cfg.get('auto_scale_lr') or {}, enable=True)
    if args.no_validate:
        for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
            cfg[key] = None
        for hook in nested_dicts(cfg.get('default_hooks'), 'CheckpointHook'):
            hook.pop('save_best', None)
            hook.pop('rule', None)
    return cfg


def main() -> None:
    """Train."""
    args = parse_args()
    # After the arguments, so that --help does not wait for the libraries.
    from urbancross_mm.apis import (
        build_runner,
        claim_work_dir,
        discard_failed_start,
        report_after_training,
    )

    cfg = prepare(args)
    outdated = claim_work_dir(cfg, args.overwrite)
    with discard_failed_start(cfg):
        runner = build_runner(cfg)
        for path in outdated:
            path.unlink(missing_ok=True)  # each rank tries
        runner.train()
    if not args.no_report:
        report_after_training(cfg)


if __name__ == '__main__':
    run_tool(main)
