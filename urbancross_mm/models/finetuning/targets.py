"""Which layers and weights of a network a config names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import nn

from urbancross_mm.models.finetuning.blocks import find_blocks


def find_roots(part: nn.Module, targets: Sequence[str] | None, option: str) -> list[str]:
    """The modules that the targets name; the blocks by default."""
    if targets is None:
        return find_blocks(part)
    if isinstance(targets, str):
        raise ValueError(f'{option} must be a list of names, got {targets!r}')
    names = [name for name, _ in part.named_modules() if name]
    matches = [name for target in targets for name in find_names(target, names, option, 'module')]
    return list(dict.fromkeys(matches))


def find_names(target: str, names: Collection[str], option: str, kind: str) -> list[str]:
    """Names that are or end with the target, or match it as a regular expression."""
    try:
        pattern = re.compile(target)
    except (re.error, TypeError) as error:
        raise ValueError(f'{option} has {target!r}, which is no name: {error}') from None
    found = [
        name
        for name in names
        if name == target or name.endswith(f'.{target}') or pattern.fullmatch(name)
    ]
    if not found:
        ends = dict.fromkeys(name.rpartition('.')[2] for name in names)
        known = listed([end for end in ends if not end.isdigit()])
        raise ValueError(f'{option} has {target!r}, but no {kind} is called so: there are {known}')
    return found


def is_below(name: str, roots: Collection[str]) -> bool:
    """Whether a module is one of those, or in one."""
    return any(name == root or name.startswith(f'{root}.') for root in roots)


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in a message."""
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if len(names) > most else '')


def check_options(where: str, given: Any, known: Sequence[str]) -> dict[str, Any]:
    """Refuse what is no dict of these options."""
    if not isinstance(given, Mapping):
        raise ValueError(f'{where} must be a dict of {", ".join(known)}; got {given!r}')
    for name in given:
        if name not in known:
            raise ValueError(f'{where} has no option {name!r}; there are {", ".join(known)}')
    return dict(given)
