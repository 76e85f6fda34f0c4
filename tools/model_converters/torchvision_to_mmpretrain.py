"""Rename torchvision's MobileNetV2 or ResNet weights for mmpretrain's backbones.

The result loads with
``init_cfg=dict(type='Pretrained', checkpoint=OUT, prefix='backbone.')``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

# A clone works without being installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import urbancross_mm  # noqa: E402, F401, I001  first: installs the torchvision hook
from urbancross_mm.utils.cli import add_trust_argument, given_path, run_tool  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

BLOCKS = (1, 2, 3, 4, 3, 3, 1)  # inverted residuals of MobileNetV2's layers 1 to 7
BLOCK_NAMES = [
    f'layer{layer}.{block}' for layer, count in enumerate(BLOCKS, 1) for block in range(count)
]
PARTS = {'0': 'conv', '1': 'bn'}


def mobilenet_v2_key(key: str, last_conv: Mapping[str, str]) -> str:
    """Name of a MobileNetV2 weight in mmpretrain.

    Args:
        key (str): torchvision's name.
        last_conv (Mapping): Index, within each block of ``features``, of its last convolution:
            torchvision lays it and its BatchNorm flat beside the wrapped ones before.

    Returns:
        str: mmpretrain's name.

    Raises:
        KeyError: If the name is not one of MobileNetV2's.
    """
    if match := re.fullmatch(r'classifier\.1\.(.+)', key):
        return f'head.fc.{match[1]}'
    if match := re.fullmatch(r'features\.(0|18)\.([01])\.(.+)', key):
        return f'backbone.conv{1 if match[1] == "0" else 2}.{PARTS[match[2]]}.{match[3]}'
    if match := re.fullmatch(r'features\.(\d+)\.conv\.(\d)\.([01])\.(.+)', key):
        block, conv, part, rest = match.groups()
        return f'backbone.{BLOCK_NAMES[int(block) - 1]}.conv.{conv}.{PARTS[part]}.{rest}'
    if match := re.fullmatch(r'features\.(\d+)\.conv\.(\d)\.(.+)', key):
        block, index, rest = match.groups()
        last = last_conv[block]
        part = 'conv' if index == last else 'bn'
        return f'backbone.{BLOCK_NAMES[int(block) - 1]}.conv.{last}.{part}.{rest}'
    raise KeyError(key)


def convert(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a MobileNetV2 or a ResNet.

    Args:
        weights (Mapping): torchvision's state dict.

    Returns:
        dict[str, Tensor]: The same tensors, under ``backbone.`` and ``head.fc.``.

    Raises:
        ValueError: If the weights are of another model.
    """
    if 'conv1.weight' in weights and 'layer4.0.conv1.weight' in weights:
        return {
            key.replace('fc.', 'head.fc.') if key.startswith('fc.') else f'backbone.{key}': value
            for key, value in weights.items()
        }
    # the last convolution is the only 4-d weight that is not one level deeper
    flat = re.compile(r'features\.(\d+)\.conv\.(\d)\.weight')
    last_conv = {
        match[1]: match[2]
        for key, value in weights.items()
        if (match := flat.fullmatch(key)) and value.dim() == 4
    }
    try:
        return {mobilenet_v2_key(key, last_conv): value for key, value in weights.items()}
    except (KeyError, IndexError) as error:
        raise ValueError(
            f'neither a torchvision MobileNetV2 nor a ResNet: unexpected weight {error}'
        ) from error


def main() -> None:
    """Convert a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('weights', type=given_path, help='.pth file of torchvision')
    parser.add_argument('out', type=given_path, help='.pth file to write')
    add_trust_argument(parser)
    parser.add_argument('--force', action='store_true', help='overwrite OUT')
    args = parser.parse_args()
    if args.out.exists() and not args.force:
        raise FileExistsError(f'{args.out} exists: give --force to overwrite it')
    import torch

    from urbancross_mm.utils.checkpoints import read_state_dict

    converted = convert(read_state_dict(args.weights))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': converted}, args.out)
    print(f'{len(converted)} tensors written to {args.out}')


if __name__ == '__main__':
    run_tool(main)
