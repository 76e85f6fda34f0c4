"""Test a checkpoint: ``python tools/test.py configs/urbancross_finland.py CHECKPOINT``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import ConfigParser, add_run_arguments, run_tool  # noqa: E402
from urbancross_mm.utils.files import atomic_write, check_outputs  # noqa: E402

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = ConfigParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file or work directory (its best, else its latest); '
        'default: the pretrained weights of the config (zero-shot)',
    )
    parser.add_argument('--out', help='write the --out-item to this file (.json or .pkl)')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        default='metrics',
        help='metrics (.json) or every prediction with its embeddings (.pkl)',
    )
    parser.add_argument('--show-dir', help='draw result grids to this folder')
    args = parser.parse_args()
    suffix = {'metrics': '.json', 'pred': '.pkl'}[args.out_item]
    if args.out is not None and not args.out.endswith(suffix):
        parser.error(f'--out must end in {suffix} for --out-item {args.out_item}, got {args.out}')
    check_outputs([args.out] if args.out else [])
    return args


def set_show_dir(cfg: Config, show_dir: str) -> None:
    """Let the visualization hook draw a result grid for some of the test's queries."""
    for hook in cfg.get('custom_hooks', []):
        if hook.type == 'RetrievalVisualizationHook':
            hook.show_dir = show_dir
            return
    cfg.setdefault('custom_hooks', []).append(
        dict(type='RetrievalVisualizationHook', show_dir=show_dir)
    )


def main() -> None:
    """Test."""
    args = parse_args()
    # After the arguments, so that --help does not wait for the libraries.
    from mmengine.dist import is_main_process
    from mmengine.evaluator import DumpResults
    from mmengine.model import is_model_wrapper

    from urbancross_mm.apis import build_runner, config_of, discard_failed_start, use_bfloat16
    from urbancross_mm.inference.checkpoints import for_checkpoint, resolve_checkpoint
    from urbancross_mm.inference.config import model_of

    cfg = config_of(args)
    if not args.work_dir:
        # mmengine copies the config there: that of the training stays what it was.
        cfg.work_dir = str(Path(cfg.work_dir, 'test'))
    if not cfg.get('test_dataloader'):
        raise ValueError(f'{args.config} has no test_dataloader: a test needs one')
    if args.checkpoint is not None:
        cfg.load_from = resolve_checkpoint(args.checkpoint)
    if cfg.get('load_from'):
        cfg.model = for_checkpoint(model_of(cfg))
    if args.amp:
        use_bfloat16(cfg, 'test_cfg')
    if args.show_dir:
        set_show_dir(cfg, args.show_dir)
    with discard_failed_start(cfg):
        runner = build_runner(cfg)
        if not cfg.get('load_from'):
            # Runner.test does not load the pretrained weights that an init_cfg names.
            (runner.model.module if is_model_wrapper(runner.model) else runner.model).init_weights()
        if args.out and args.out_item == 'pred':
            runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
        metrics = runner.test()
    if args.out and args.out_item == 'metrics' and is_main_process():
        atomic_write(args.out, json.dumps(metrics, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
