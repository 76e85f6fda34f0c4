"""Config templates: one path and its options for every domain, direction and seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from urbancross_mm.utils.options import parse_value

_PLACEHOLDER = re.compile(r'\{(\w+)\}')
_METHOD_NAME = re.compile(r'[A-Za-z0-9][\w.+-]*')


@dataclass(frozen=True)
class Template:
    """A config for every domain or direction.

    Args:
        template (str): Its path, with ``{source}``, ``{target}`` and ``{seed}``.
        options (tuple[str, ...]): ``KEY=VALUE``, with the same placeholders, merged in order.
            Defaults to ().
    """

    template: str
    options: tuple[str, ...] = ()

    def at(self, **names: Any) -> tuple[str, tuple[str, ...]]:
        """Fill in one domain or direction.

        Args:
            **names: Values of the placeholders.

        Returns:
            tuple[str, tuple[str, ...]]: The path of the config, and its options.

        Raises:
            ValueError: If there is a placeholder of another name.
        """
        return (
            fill(self.template, **names),
            tuple(fill(option, **names) for option in self.options),
        )


def fill(text: str, **names: Any) -> str:
    """Replace placeholders; other braces stay.

    Args:
        text (str): For example ``configs/urbancross_{source}2{target}.py``.
        **names: Values of the placeholders.

    Returns:
        str: The text.

    Raises:
        ValueError: If there is a placeholder of another name.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in names:
            known = ', '.join(f'{{{name}}}' for name in names)
            raise ValueError(f'{text!r} holds {match[0]}; known here are {known}')
        return str(names[match[1]])

    return _PLACEHOLDER.sub(value, text)


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` as ``--cfg-options`` does.

    Args:
        options (Sequence[str]): A later one wins.

    Returns:
        dict[str, Any]: Dotted keys and their values.

    Raises:
        ValueError: If one has no ``=``.
    """
    for option in options:
        if not option.partition('=')[0] or '=' not in option:
            raise ValueError(f'an option is KEY=VALUE, got {option!r}')
    return {
        key: parse_value(value) for key, _, value in (option.partition('=') for option in options)
    }


def parse_methods(methods: Sequence[str], options: Sequence[str] = ()) -> dict[str, Template]:
    """Read ``NAME=TEMPLATE;KEY=VALUE;...``.

    Args:
        methods (Sequence[str]): One entry a method.
        options (Sequence[str]): ``KEY=VALUE`` for every method; its own win. Defaults to ().

    Returns:
        dict[str, Template]: By name, in order.

    Raises:
        ValueError: If an entry has another form, a name stands twice, or options have no method.
    """
    if options and not methods:
        raise ValueError(f'options for methods, and no method: {", ".join(options)}')
    templates: dict[str, Template] = {}
    for entry in methods:
        name, _, rest = entry.partition('=')
        template, *own = rest.split(';')
        if not _METHOD_NAME.fullmatch(name) or not template:
            raise ValueError(
                'a method is NAME=CONFIG or NAME=CONFIG;KEY=VALUE;..., the name of '
                f'letters, digits and . _ + -, got {entry!r}'
            )
        if name in templates:
            raise ValueError(f'the method {name!r} stands twice')
        templates[name] = Template(template, (*options, *filter(None, own)))
        parse_options(templates[name].options)
    return templates
