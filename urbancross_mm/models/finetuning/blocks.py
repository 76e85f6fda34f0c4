"""The blocks of a network, in the order in which they run."""

from __future__ import annotations

from typing import Any

from torch import nn

_LISTS = (nn.ModuleList, nn.Sequential)
_STAGE_PARTS = ('blocks', 'layers', 'layer')


def find_blocks(module: nn.Module, prefix: str = '') -> list[str]:
    """Find the blocks of any backbone: of a ViT its layers, of a ResNet its residual blocks.

    A block is an item of a list of modules of one kind with layers inside. Where the items are
    stages, which are lists themselves or hold one (Swin), those of the inner lists are the blocks.

    Args:
        module (nn.Module): A network.
        prefix (str): Before each name. Defaults to ''.

    Returns:
        list[str]: Their names; none for a network without (a GRU).
    """
    stack, blocks = _is_stack(module), []
    for name, child in module.named_children():
        path = f'{prefix}{name}'
        inner = find_blocks(child, f'{path}.') if not stack or _is_stage(child) else []
        # A list without a stack inside joins layers: patches, or a step to the next stage.
        blocks += inner or ([path] if stack and not isinstance(child, _LISTS) else [])
    return blocks


def layer_depths(module: nn.Module) -> tuple[dict[str, int], int]:
    """How deep each parameter lies.

    Args:
        module (nn.Module): A network.

    Returns:
        tuple[dict[str, int], int]: By name 0 before the first of the n blocks (patches, words,
        positions), 1 to n in the blocks, n + 1 behind them (last norm, projection), where all of a
        network without blocks is; and n.
    """
    blocks = find_blocks(module)
    order = {block: depth for depth, block in enumerate(blocks, start=1)}
    depths, passed = {}, 0
    for path, layer in module.named_modules():
        block = next((parent for parent in _parents(path) if parent in order), None)
        passed = max(passed, order[block] if block else 0)
        holds_blocks = any(block.startswith(f'{path}.' if path else '') for block in blocks)
        for name, _ in layer.named_parameters(prefix=path, recurse=False):
            if block is not None:
                depths[name] = order[block]
            elif holds_blocks:  # its parameters are listed first, wherever they are used
                depths[name] = len(blocks) + 1 if 'proj' in name.rpartition('.')[2] else 0
            else:
                depths[name] = passed + 1 if passed or not blocks else 0
    return depths, len(blocks)


def _parents(path: str) -> list[str]:
    parts = path.split('.')
    return ['.'.join(parts[:end]) for end in range(len(parts), 0, -1)]


def _is_stack(module: Any) -> bool:
    items = list(module.children()) if isinstance(module, _LISTS) else []
    return bool(items) and len({type(item) for item in items}) == 1 and all(map(_has_layers, items))


def _has_layers(module: nn.Module) -> bool:
    return any(True for _ in module.children()) and any(True for _ in module.parameters())


def _is_stage(module: nn.Module) -> bool:
    parts = [child for name, child in module.named_children() if name in _STAGE_PARTS]
    return isinstance(module, _LISTS) or any(map(_is_stack, parts))
