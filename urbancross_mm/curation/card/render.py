"""Writes dataset cards: one HTML page, or Markdown with images beside it."""

from __future__ import annotations

import base64
import html
import io
import re
from pathlib import Path

from PIL import Image

from urbancross_mm.curation.card.blocks import (
    Block,
    Card,
    Figure,
    Gallery,
    Table,
    Text,
    value_text,
)
from urbancross_mm.utils.files import write_all

FORMATS = ('html', 'md')
TEMPLATE = Path(__file__).with_name('card.html.j2')


def write_card(card: Card, out: str | Path, format: str | None = None) -> list[Path]:
    """Write a card.

    Args:
        card (Card): The card.
        out (str | Path): File to write. ``.html`` is a single file. With ``.md``,
            its images are written beside it, ``<name>_<figure>.png``.
        format (str, optional): 'html' or 'md'. Defaults to None: the suffix of ``out``.

    Returns:
        list[Path]: The files that were written, the card first.

    Raises:
        ValueError: If ``out`` has another suffix.
    """
    out = Path(out)
    if format_of(out, format) == 'html':
        contents: dict[str | Path, bytes | str] = {out: to_html(card)}
    else:
        text, figures = to_markdown(card, out.stem)
        contents = {out: text, **{out.parent / name: png for name, png in figures.items()}}
    write_all(contents)
    return list(map(Path, contents))


def format_of(out: str | Path, format: str | None = None) -> str:
    """The format of a card file, to be checked before the work."""
    suffix = Path(out).suffix[1:]
    if suffix not in FORMATS or format not in (None, suffix):
        raise ValueError(
            f'a card must be a file .html or .md of the same format, got {out}'
            f'{f" and {format}" if format else ""}'
        )
    return suffix


def to_html(card: Card) -> str:
    """A card as one HTML page with everything in it, without scripts and links."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(base64_png=_base64_png, value_text=value_text)
    template = environment.from_string(TEMPLATE.read_text(encoding='utf-8'))
    return template.render(card=card, kind=lambda block: type(block).__name__)


def to_markdown(card: Card, stem: str) -> tuple[str, dict[str, bytes]]:
    """A card as Markdown, and its PNG files by name. Their names begin with ``stem``."""
    parts, figures = [f'# {_escaped(card.title)}'], {}
    for section in card.sections:
        parts.append(f'## {_escaped(section.title)}')
        for block in section.blocks:
            for figure in _figures(block):
                figures[_file_name(stem, figure)] = _png(figure)
            parts.append(_markdown_block(block, stem))
    return '\n\n'.join(parts) + '\n', figures


def _markdown_block(block: Block, stem: str) -> str:
    if isinstance(block, Text):
        return _escaped(block.text)
    if isinstance(block, Table):
        lines = [
            [_escaped(name) or ' ' for name in block.columns],
            ['---'] * len(block.columns),
            *([_escaped(value_text(value)) for value in row] for row in block.rows),
        ]
        return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    if isinstance(block, Figure):
        return _markdown_image(block, stem)
    parts = []
    for sample in block.samples:
        notes = '\n'.join(f'- {_escaped(line)}' for line in sample.lines)
        parts.append(
            f'**{_escaped(sample.figure.title)}**\n\n'
            f'{_markdown_image(sample.figure, stem)}\n\n{notes}'
        )
    return '\n\n'.join(parts)


def _markdown_image(figure: Figure, stem: str) -> str:
    return f'![{_escaped(figure.title)}]({_file_name(stem, figure)})'


def _escaped(text: str) -> str:
    """Text on one line, escaped for Markdown."""
    text = html.escape(' '.join(text.split()), quote=False)
    return re.sub(r'([\\`*_\[\]|#~$])', r'\\\1', text)


def _figures(block: Block) -> list[Figure]:
    if isinstance(block, Gallery):
        return [sample.figure for sample in block.samples]
    return [block] if isinstance(block, Figure) else []


def _file_name(stem: str, figure: Figure) -> str:
    # Brackets and blanks would end a link.
    return re.sub(r'[^\w.-]', '-', f'{stem}_{figure.name}.png')


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(figure.pixels).save(buffer, 'png')
    return buffer.getvalue()


def _base64_png(figure: Figure) -> str:
    return base64.b64encode(_png(figure)).decode('ascii')
