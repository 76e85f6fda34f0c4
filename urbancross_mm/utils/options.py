"""Settings on the command line: ``KEY=VALUE``, as mmengine reads them, without losing blanks."""

from __future__ import annotations

import ast
from typing import Any

from mmengine.config import DictAction


class ConfigOptions(DictAction):
    """argparse action for ``--cfg-options``.

    mmengine's takes every blank out of a value and cuts a text at its commas, so that a prompt or
    a path with a blank would arrive as another one.
    """

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Read each ``KEY=VALUE``; the parser ends the tool where one has another form."""
        for entry in values:
            if not entry.partition('=')[0] or '=' not in entry:
                parser.error(f'an option is KEY=VALUE, got {entry!r}')
        try:
            super().__call__(parser, namespace, values, option_string)
        except ValueError as error:
            parser.error(str(error))

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        return parse_value(val)


def parse_value(text: str) -> Any:
    """Read a value.

    Args:
        text (str): A Python literal; ``true`` and ``false``; items between commas or brackets; or
            a text, which needs no quotes as long as it is no list.

    Returns:
        Any: What it says. A text keeps its blanks; ``a,b`` is a list, ``a, b and c`` a text.

    Raises:
        ValueError: If it is a list whose texts hold blanks and are not all quoted.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    else:
        return list(value) if isinstance(value, tuple) and text.strip()[0] != '(' else value
    plain = text.strip()
    if ' ' not in plain:
        return DictAction._parse_iterable(plain)
    if plain[0] not in '[(':
        return text
    if any(quote in plain for quote in '\'"'):
        raise ValueError(f'in a list with blanks every text stands in quotes; got {text}')
    return DictAction._parse_iterable(plain)
