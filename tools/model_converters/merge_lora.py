"""Merge the LoRA of a checkpoint into its weights: the result is one of the plain config.

This package loads a checkpoint with LoRA into a plain model by itself. Other programs, and an
export, want the merged weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import add_trust_argument, given_path, run_tool  # noqa: E402


def main() -> None:
    """Merge a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='checkpoint file, or work directory, of a run with LoRA')
    parser.add_argument('out', type=given_path, help='.pth file to write, with weights alone')
    add_trust_argument(parser)
    parser.add_argument('--force', action='store_true', help='overwrite OUT')
    args = parser.parse_args()
    if args.out.exists() and not args.force:
        raise FileExistsError(f'{args.out} exists: give --force to overwrite it')
    import torch

    from urbancross_mm.inference.checkpoints import resolve_checkpoint
    from urbancross_mm.models.finetuning import merge_lora
    from urbancross_mm.utils.checkpoints import read_state_dict

    checkpoint = resolve_checkpoint(args.checkpoint)
    weights = read_state_dict(checkpoint)
    merged = merge_lora(weights)
    adapters = {name.partition('.adapter.')[0] for name in weights if '.adapter.' in name}
    if not merged:
        found = f'{len(adapters)} adapters, which cannot be merged' if adapters else 'plain weights'
        raise ValueError(f'{checkpoint} has no LoRA to merge, but {found}')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': weights}, args.out)
    print(f'LoRA of {len(merged)} layers merged; {len(weights)} tensors written to {args.out}')
    if adapters:
        print(f'{len(adapters)} adapters stay: use OUT with their model.finetune')


if __name__ == '__main__':
    run_tool(main)
