"""The weights in a TorchScript archive, such as OpenAI's CLIP files; its program never runs."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Of an archive's own classes, which its program would define.
_PROGRAM = '__torch__.'
# What it wraps lists of numbers and typed containers in.
_LIST = re.compile(r'torch\.jit\._pickle\.(build_\w+list|restore_type_tag)')
# Parts that share their parts could stand for any number of names.
_MOST_PARTS = 100_000


def is_jit_archive(path: str | Path) -> bool:
    """Whether a file is an archive of ``torch.jit.save``.

    Args:
        path (str | Path): A file.

    Returns:
        bool: True for a zip with a program's constants.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith('/constants.pkl') for name in archive.namelist())
    except Exception:  # another format, or damaged: its reader reports that
        return False


def read_jit_weights(path: str | Path) -> dict[str, Any]:
    """Read the tensors of an archive, and not its program.

    The pickle with the tensors is read by torch's safe loader. The classes of the program, which
    it names, have a stand-in that only holds attributes.

    Args:
        path (str | Path): An archive of ``torch.jit.save``.

    Returns:
        dict[str, Tensor]: Parameters and buffers by their names.

    Raises:
        ValueError: If what is read would unpack to more than the file holds.
        Exception: Whatever torch raises for a damaged file, or one that names other classes.
    """
    import torch
    from torch import _weights_only_unpickler as safe_pickle

    _check_size(path)
    reader = torch._C.PyTorchFileReader(str(path))
    pickled = reader.get_record('data.pkl')
    named = {
        str(argument).replace(' ', '.')
        for code, argument, _ in pickletools.genops(pickled)
        if code.name == 'GLOBAL'
    }
    stand_ins: list[Any] = [
        (type('_Part', (_Part,), {}), name) for name in named if name.startswith(_PROGRAM)
    ]
    stand_ins += [(_first, name) for name in named if _LIST.fullmatch(name)]
    with torch.serialization.safe_globals(stand_ins):
        # torch.load stops at an archive, though it reads the same files from it.
        model = torch.serialization._load(reader, 'cpu', safe_pickle)
    weights: dict[str, Any] = {}
    for number, (name, value) in enumerate(_leaves(model, '', ())):
        if number > _MOST_PARTS:
            raise ValueError(f'more than {_MOST_PARTS} parts')
        if isinstance(value, torch.Tensor):
            weights[name] = value.detach()
    return weights


def _check_size(path: str | Path) -> None:
    """The program is compressed; tensors are not."""
    with zipfile.ZipFile(path) as archive:
        size = sum(
            entry.file_size for entry in archive.infolist() if '/code/' not in entry.filename
        )
    length = Path(path).stat().st_size
    if size > length:
        raise ValueError(f'it has {length} bytes and claims to hold {size}')


def _first(value: Any = (), *kind: Any) -> Any:
    """No copy: a pickle may ask for many of one large list."""
    return value


class _Part:
    """Stands for a module of the program."""


def _leaves(part: Any, prefix: str, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Attributes by the names of ``state_dict``; a part that holds itself is passed over."""
    for name, value in vars(part).items() if isinstance(part, _Part) else ():
        yield prefix + name, value
        if id(value) not in above:
            yield from _leaves(value, f'{prefix}{name}.', (*above, id(part)))
