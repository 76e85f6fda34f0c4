"""Config templates: one path and its options for every domain, direction and seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urbancross_mm.utils.config import package_configs
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
        text (str): For example ``configs/urbancross_{source}.py``.
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


def parse_methods(
    methods: Sequence[str], options: Sequence[str] = (), source: str = ''
) -> dict[str, Template]:
    """Read ``METHOD``, ``NAME=METHOD`` or ``NAME=TEMPLATE``, and ``;KEY=VALUE;...`` after it.

    Args:
        methods (Sequence[str]): One entry a method. ``METHOD`` is a file of ``_base_/methods/``,
            by which ``adapt.py`` adapts the source config to ``{target}``.
        options (Sequence[str]): ``KEY=VALUE`` for every method; its own win. Defaults to ().
        source (str): Template of the source config, which ``METHOD`` needs. Defaults to ''.

    Returns:
        dict[str, Template]: By name, in order.

    Raises:
        ValueError: If an entry has another form, a name stands twice, or options have no method.
    """
    if options and not methods:
        raise ValueError(f'options for methods, and no method: {", ".join(options)}')
    templates: dict[str, Template] = {}
    for entry in methods:
        first, *own = entry.split(';')
        name, named, template = first.partition('=')
        template = template if named else name
        if not _METHOD_NAME.fullmatch(name) or not template or (not named and '.py' in name):
            raise ValueError(
                'a method is METHOD, NAME=METHOD or NAME=CONFIG, and ;KEY=VALUE;... after it, '
                f'the name of letters, digits and . _ + -, got {entry!r}'
            )
        if name in templates:
            raise ValueError(f'the method {name!r} stands twice')
        chosen: tuple[str, ...] = ()
        if '.' not in template and '/' not in template:
            chosen = (f'CONFIG={source}', 'TARGET={target}', f'METHOD={template}')
            template = str(_adapt_config(source))
        templates[name] = Template(template, (*chosen, *options, *filter(None, own)))
        parse_options(templates[name].options)
    return templates


def _adapt_config(source: str) -> Path:
    """``adapt.py`` of the tree that the source config is in, or else of the package."""
    folders = [] if '::' in source else Path(source).absolute().parents
    files = [folder / 'adapt.py' for folder in (*folders, package_configs())]
    return next((file for file in files if file.is_file()), files[-1])
