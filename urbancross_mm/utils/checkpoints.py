"""Reading and comparing checkpoints."""

from __future__ import annotations

import argparse
import mmap
import os
import sys
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from urbancross_mm.utils.archives import refuse_bomb
from urbancross_mm.utils.checkpoint_reasons import reason_of, shortened
from urbancross_mm.utils.plain_data import plain_classes

# Where a file may keep its weights; the first that holds any counts.
WEIGHT_KEYS = (
    'state_dict',
    'model_state_dict',
    'model',
    'net',
    'weights',
    'model_ema',
    'state_dict_ema',
)
# Of DistributedDataParallel and torch.compile.
WRAPPER_PREFIXES = ('module.', '_orig_mod.', 'module.')
_TRUST = 'URBANCROSS_TRUST_CHECKPOINT'


def compare_state_dicts(
    expected: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[list[str], list[str], int]:
    """Compare the names and shapes of two state dicts.

    Args:
        expected (Mapping): The model's own.
        found (Mapping): A checkpoint's.

    Returns:
        tuple[list[str], list[str], int]: Missing names, names of another shape or of no tensor,
        and how many fit.
    """
    import torch

    missing = [name for name in expected if name not in found]
    mismatched = [
        name
        for name, value in expected.items()
        if name in found
        and (
            getattr(found[name], 'shape', None) != value.shape
            or not isinstance(found[name], torch.Tensor)
        )
    ]
    return missing, mismatched, len(expected) - len(missing) - len(mismatched)


def refuse_other_model(
    model: Any, found: Mapping[str, Any], path: str | Path, partial: bool = False
) -> None:
    """Stop before a checkpoint of another model loads little or nothing.

    Args:
        model (nn.Module): Its attribute ``optional_prefixes`` names weights that it can do without
            (a segment tower is filled from the image tower).
        found (Mapping): The checkpoint's state dict.
        path (str | Path): For the message.
        partial (bool): A fine-tune: half of the weights are enough, as long as none has another
            shape. Defaults to False.

    Raises:
        ValueError: If the checkpoint does not fit.
    """
    expected = model.state_dict()
    missing, mismatched, matched = compare_state_dicts(expected, found)
    optional = tuple(getattr(model, 'optional_prefixes', ()))
    needed = [name for name in missing if not (optional and name.startswith(optional))]
    if not mismatched and (not needed or (partial and 2 * matched >= len(expected))):
        return
    raise ValueError(
        f'the checkpoint {path} is of another model: of the {len(expected)} weights of '
        f'{type(model).__name__}, {matched} fit, {len(missing)} are missing and '
        f'{len(mismatched)} have another shape ({", ".join((mismatched + needed)[:3])})'
        f'{"" if matched else "; a run with --sample has other encoders: give --sample here too"}'
    )


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint`` to a tool that loads checkpoints.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument(
        '--trust-checkpoint',
        action=_Trust,
        nargs=0,
        help='read your own old checkpoints although they carry code, and run it',
    )


class _Trust(argparse.Action):
    """Trust checkpoints in this process and those that it starts."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        os.environ[_TRUST] = '1'
        print(
            'warning: --trust-checkpoint: a checkpoint may run any code while it is read; give '
            'it for your own files only',
            file=sys.stderr,
        )


def read_checkpoint(path: str | Path, trust: bool = False) -> dict[str, Any]:
    """Read a checkpoint on the CPU without running code that it may carry.

    Tensors and plain data are read (:mod:`urbancross_mm.utils.plain_data`), from a file of
    ``torch.save`` or, by its suffix, of safetensors. The prefix ``module.``, if every weight has
    it, is taken off.

    Args:
        path (str | Path): A checkpoint file.
        trust (bool): Read the file even if it carries code, which then runs; said on stderr.
            Defaults to False.

    Returns:
        dict: The checkpoint: with ``state_dict``, whatever the file calls it (``model``, ``net``),
        or the weights alone, as they stand in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is torn, not a checkpoint, or holds anything but plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no checkpoint at {path}{": it is a folder" if path.is_dir() else ""}'
        )
    if not path.stat().st_size:
        raise ValueError(f'cannot read the checkpoint {path}: it is empty')
    content = (
        _read_safetensors(path)
        if path.suffix == '.safetensors'
        else _read_torch(path, trust or os.environ.get(_TRUST) == '1')
    )
    if not isinstance(content, dict):
        raise ValueError(
            f'cannot read the checkpoint {path}: it holds a {type(content).__name__}, '
            'where a dict of weights is needed'
        )
    return _with_state_dict(content, path)


def read_state_dict(path: str | Path, trust: bool = False) -> dict[str, Any]:
    """Read the weights of a checkpoint, as :func:`read_checkpoint` does.

    Args:
        path (str | Path): A checkpoint file.
        trust (bool): As there. Defaults to False.

    Returns:
        dict: Name and tensor of each weight.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is refused, or holds no weights.
    """
    return weights_of(read_checkpoint(path, trust), path)


def weights_of(content: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """The weights of a checkpoint that :func:`read_checkpoint` has read.

    Args:
        content (dict): What it gave.
        path (str | Path): For the message.

    Returns:
        dict: Name and tensor of each weight.

    Raises:
        ValueError: If it holds no weights, or a tensor that no weight can be copied from.
    """
    import torch

    weights = content.get('state_dict', content)
    if not _is_state_dict(weights):
        keys = ', '.join(map(str, list(content)[:5])) or 'none'
        raise ValueError(
            f'the checkpoint {path} holds no weights: they are looked for under '
            f'{", ".join(WEIGHT_KEYS)} or at its top, and its keys are '
            f'{shortened(keys)}'
        )
    for name, value in weights.items():
        # mmengine logs what cannot be copied, and goes on with random weights.
        if isinstance(value, torch.Tensor) and (
            value.is_meta or value.is_quantized or value.layout is not torch.strided
        ):
            raise ValueError(
                f'the checkpoint {path} holds {shortened(name)} as a tensor without '
                'plain numbers (sparse, quantized or on the device "meta")'
            )
    return weights


def check_checkpoint(path: str | Path) -> None:
    """Stop before a model is built for a torn file or one that is no checkpoint.

    Args:
        path (str | Path): A ``.pth`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read.
    """
    # The directory of a zip stands at its end, so a torn one has none. Older formats are read.
    if not zipfile.is_zipfile(path):
        read_checkpoint(path)


def _with_state_dict(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Put the weights under the one name that is looked for, without a wrapper's prefix."""
    if not isinstance(content.get('state_dict', {}), dict):
        raise ValueError(
            f'cannot read the checkpoint {path}: its state_dict is a '
            f'{type(content["state_dict"]).__name__}, where a dict is needed'
        )
    # The parts first: a tensor beside them, such as a best score, makes the file no weights.
    for key in WEIGHT_KEYS:
        if _is_state_dict(content.get(key)):
            return {**content, 'state_dict': _without_prefix(content[key])}
    return _without_prefix(content) if _is_state_dict(content) else content


def _is_state_dict(content: Any) -> bool:
    """Whether these are weights: names, and tensors but for a few."""
    import torch

    return (
        isinstance(content, dict)
        and all(isinstance(key, str) for key in content)
        and any(isinstance(value, torch.Tensor) for value in content.values())
    )


def _without_prefix(weights: dict[str, Any]) -> dict[str, Any]:
    for prefix in WRAPPER_PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # its own error, or of a type that torch does not know
        raise ValueError(
            f'cannot read the checkpoint {path}: it is damaged, or no safetensors '
            f'file ({shortened(error)})'
        ) from error


def _read_torch(path: Path, trust: bool) -> Any:
    import torch

    refuse_bomb(path, 'the checkpoint')
    _refuse_bytearray(path)
    try:
        with torch.serialization.safe_globals(plain_classes()), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of pickle's protocol; what cannot be read is refused
            return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ...
        if trust:
            print(
                f'warning: {path} is read with --trust-checkpoint: code in it runs now',
                file=sys.stderr,
            )
            return torch.load(path, map_location='cpu', weights_only=False)
        raise ValueError(f'cannot read the checkpoint {path}: {reason_of(error)}') from error


def _refuse_bytearray(path: Path) -> None:
    """Of what torch allows by itself, this alone makes gigabytes of a number."""
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if (
            content.find(b'builtins\nbytearray\n') >= 0
            or content.find(b'__builtin__\nbytearray\n') >= 0
        ):
            raise ValueError(
                f'cannot read the checkpoint {path}: it holds builtins.bytearray, '
                'which could take any amount of memory'
            )
