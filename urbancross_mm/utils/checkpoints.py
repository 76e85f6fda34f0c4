"""Reading checkpoints without running code that they may carry."""

from __future__ import annotations

import mmap
import os
import re
import sys
import textwrap
import warnings
import zipfile
from pathlib import Path
from typing import Any

from urbancross_mm.utils.cli import TRUST_VARIABLE
from urbancross_mm.utils.files import check_archive_size
from urbancross_mm.utils.jit_archive import is_jit_archive, read_jit_weights

# Where a file may keep its weights; the first key that holds tensors counts.
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


def read_checkpoint(path: str | Path, trust: bool = False) -> dict[str, Any]:
    """Read a checkpoint on the CPU without running code that it may carry.

    Tensors and plain data are read (:mod:`urbancross_mm.utils.plain_data`), from a file of
    ``torch.save`` or, by its suffix, of safetensors. Of an archive of ``torch.jit.save`` the
    tensors are read, and its program is not. The prefix ``module.``, if every weight has
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
        raise FileNotFoundError(f'no checkpoint at {path}{_hint(path)}')
    if not path.stat().st_size:
        raise ValueError(f'cannot read the checkpoint {path}: it is empty')
    content = (
        _read_safetensors(path)
        if path.suffix == '.safetensors'
        else _read_torch(path, trust or os.environ.get(TRUST_VARIABLE) == '1')
    )
    if not isinstance(content, dict):
        raise ValueError(
            f'cannot read the checkpoint {path}: it holds a {type(content).__name__}, '
            'where a dict of weights is needed'
        )
    return _with_state_dict(content, path)


def _hint(path: Path) -> str:
    if path.is_dir():
        return ': it is a folder'
    if path.parts[:1] == ('weights',):  # where configs look for pretrained weights
        return ': download or convert it, or leave it out (docs/how-to/checkpoints.md)'
    return ''


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
            f'{_shortened(keys)}'
        )
    for name, value in weights.items():
        # mmengine logs what cannot be copied, and goes on with random weights.
        if isinstance(value, torch.Tensor) and (
            value.is_meta or value.is_quantized or value.layout is not torch.strided
        ):
            raise ValueError(
                f'the checkpoint {path} holds {_shortened(name)} as a tensor without '
                'plain numbers (sparse, quantized or on the device "meta")'
            )
    return weights


def check_checkpoint(path: str | Path) -> None:
    """Stop before a model is built if a file is torn or is not a checkpoint.

    Args:
        path (str | Path): A ``.pth`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read.
    """
    # The directory of a zip is at its end, so a torn file has none. Older formats are read whole.
    if not zipfile.is_zipfile(path):
        read_checkpoint(path)


def _with_state_dict(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Move the weights to the key ``state_dict``, without a wrapper's prefix."""
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
            f'file ({_shortened(error)})'
        ) from error


def _read_torch(path: Path, trust: bool) -> Any:
    import torch

    from urbancross_mm.utils.plain_data import plain_classes  # needs NumPy

    archive = is_jit_archive(path)
    if not archive:
        check_archive_size(path, 'the checkpoint')
    _refuse_bytearray(path)
    try:
        with torch.serialization.safe_globals(plain_classes()), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of pickle's protocol; what cannot be read is refused
            if archive:
                return read_jit_weights(path)
            return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ...
        if trust:
            print(
                f'warning: {path} is read with --trust-checkpoint: code in it runs now',
                file=sys.stderr,
            )
            return torch.load(path, map_location='cpu', weights_only=False)
        raise ValueError(f'cannot read the checkpoint {path}: {_reason(error)}') from error


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


def _reason(error: Exception) -> str:
    """What torch's safe loader refused, without its advice to read unsafely."""
    text = ' '.join(str(error).split())
    refused = re.search(r'GLOBAL (\S+)', text) or re.search(
        r"<(?:class|function|built-in function) '?([\w.]+)", text
    )
    if refused:
        return (
            f'it holds {_shortened(refused[1])}, which is no plain data and could run code; '
            'save its state_dict alone, or give --trust-checkpoint if the file is your own'
        )
    if 'legacy .tar' in text:
        return 'it has the tar format of torch before 0.1.10; save it again with a newer torch'
    text = text.partition('WeightsUnpickler error: ')[2] or text
    text = text.partition(' Check the documentation of torch.load')[0]
    return f'it is damaged, or no file of torch.save ({_shortened(text)})'


def _shortened(text: object) -> str:
    """One printable line of at most 120 letters: a file's own text may hold control characters."""
    return ''.join(sign if sign.isprintable() else '?' for sign in textwrap.shorten(str(text), 120))
