"""Settings on the command line: ``KEY=VALUE``, as mmengine reads them, without losing blanks."""

from __future__ import annotations

import argparse
import ast
from itertools import accumulate, pairwise
from typing import Any


class ConfigOptions(argparse.Action):
    """argparse action for ``--cfg-options``, with the syntax of mmengine's ``DictAction``.

    mmengine's takes every blank out of a value and cuts a text at its commas, so that a prompt or
    a path with a blank would be changed.
    """

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Read each ``KEY=VALUE``; any other form ends the tool."""
        options = dict(getattr(namespace, self.dest, None) or {})
        for entry in values:
            key, separator, value = entry.partition('=')
            if not separator or not all(key.split('.')):
                parser.error(f'an option is KEY=VALUE, got {entry!r}')
            try:
                options[key] = parse_value(value)
            except ValueError as error:
                parser.error(str(error))
        setattr(namespace, self.dest, options)


def parse_value(text: str) -> Any:
    """Read a value.

    Args:
        text (str): A Python literal; ``true`` and ``false``; a list, in brackets or of items
            between commas without a blank; or a text, which needs no quotes.

    Returns:
        Any: What it says. A text keeps its blanks: ``a,b`` is a list, ``a, b and c`` a text.

    Raises:
        ValueError: If a text in a list in brackets holds blanks and no quotes.
    """
    plain = text.strip()
    try:
        value = ast.literal_eval(plain)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    else:
        # To Python `12#3` is 12, and `...` an object.
        if '#' not in plain and value is not Ellipsis:
            return list(value) if isinstance(value, tuple) and plain[0] != '(' else value
    if ' ' in plain:
        return _read_list(plain) if _is_list(plain) else text
    from mmengine.config import DictAction

    try:
        return DictAction._parse_iterable(plain)
    except AssertionError:  # brackets that do not close
        return text


def _is_list(text: str) -> bool:
    """Whether the first bracket closes with the last character, and with none before."""
    depths = list(accumulate((char in '[(') - (char in '])') for char in text))
    return text[0] in '[(' and depths[-1] == 0 and all(depths[:-1])


def _read_list(text: str) -> Any:
    depths = list(accumulate((char in '[(') - (char in '])') for char in text))
    cuts = [0, *(i for i, char in enumerate(text) if char == ',' and depths[i] == 1), len(text) - 1]
    parts = [text[start + 1 : end].strip() for start, end in pairwise(cuts)]
    items = []
    for part in filter(None, parts):
        items.append(parse_value(part))
        if ' ' in part and items[-1] == part:
            raise ValueError(f'in a list a text with blanks stands in quotes; got {part} in {text}')
    return tuple(items) if text[0] == '(' else items
