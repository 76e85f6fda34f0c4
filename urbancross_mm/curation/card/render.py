"""Dataset cards as one HTML page, or as Markdown with images beside it."""

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
    Share,
    Table,
    Text,
    Value,
    value_text,
)
from urbancross_mm.utils.files import write_all

FORMATS = ('html', 'md')
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #eee;
         vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
.bar { display: inline-block; height: .7em; background: #1f77b4; margin-right: .5em; }
figure { margin: 1rem 0; } figure > img { max-width: 100%; height: auto; }
figcaption { color: #666; font-size: .9em; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(256px, 1fr)); gap: 1rem; }
.gallery figure { margin: 0; } .gallery p { margin: .2rem 0; font-size: .9em; color: #222; }
"""
# Bars of a full share are this wide.
BAR_EM = 10


def write_card(card: Card, out: str | Path, format: str | None = None) -> list[Path]:
    """Write a card.

    Args:
        card (Card): The card.
        out (str | Path): ``.html``: one page that needs nothing else. ``.md``: its images are
            written beside it, ``<name>_<figure>.png``.
        format (str, optional): 'html' or 'md'. Defaults to None: as ``out`` says.

    Returns:
        list[Path]: What was written, the card first.

    Raises:
        ValueError: See :func:`format_of`.
    """
    out = Path(out)
    if format_of(out, format) == 'html':
        contents = {out: to_html(card)}
    else:
        text, figures = to_markdown(card, out.stem)
        contents = {out: text, **{out.parent / name: one for name, one in figures.items()}}
    write_all(contents)
    return list(contents)


def format_of(out: str | Path, format: str | None = None) -> str:
    """The format of a card, to be asked before the work.

    Args:
        out (str | Path): The file.
        format (str, optional): 'html' or 'md'. Defaults to None: as ``out`` says.

    Returns:
        str: 'html' or 'md'.

    Raises:
        ValueError: If the format is unknown, or ``out`` says another one.
    """
    suffix = Path(out).suffix[1:]
    if suffix not in FORMATS or format not in (None, suffix):
        raise ValueError(
            f'a card is written to a file .html or .md of the same format, got {out}'
            f'{f" and {format}" if format else ""}'
        )
    return suffix


def to_html(card: Card) -> str:
    """A card as one page with everything in it.

    Args:
        card (Card): The card.

    Returns:
        str: HTML without scripts and without links.
    """
    body = [f'<h1>{html.escape(card.title)}</h1>']
    for section in card.sections:
        body.append(f'<h2>{html.escape(section.title)}</h2>')
        body += [_html_block(block) for block in section.blocks]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{html.escape(card.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n'
        + '\n'.join(body)
        + '\n</body>\n</html>\n'
    )


def to_markdown(card: Card, stem: str) -> tuple[str, dict[str, bytes]]:
    """A card as Markdown.

    Args:
        card (Card): The card.
        stem (str): What the names of its images begin with.

    Returns:
        tuple[str, dict[str, bytes]]: The text, and PNG files by name.
    """
    parts, figures = [f'# {_escaped(card.title)}'], {}
    for section in card.sections:
        parts.append(f'## {_escaped(section.title)}')
        for block in section.blocks:
            for figure in _figures(block):
                figures[_file_name(stem, figure)] = _png(figure)
            parts.append(_markdown_block(block, stem))
    return '\n\n'.join(parts) + '\n', figures


def _html_block(block: Block) -> str:
    if isinstance(block, Text):
        return f'<p>{html.escape(block.text)}</p>'
    if isinstance(block, Table):
        return _html_table(block)
    if isinstance(block, Figure):
        return (
            f'<figure>{_html_image(block)}<figcaption>{html.escape(block.title)}</figcaption>'
            '</figure>'
        )
    cells = []
    for sample in block.samples:
        lines = ''.join(f'<p dir="auto">{html.escape(line)}</p>' for line in sample.lines)
        cells.append(
            f'<figure>{_html_image(sample.figure)}<figcaption>'
            f'{html.escape(sample.figure.title)}{lines}</figcaption></figure>'
        )
    return '<div class="gallery">' + '\n'.join(cells) + '</div>'


def _html_table(table: Table) -> str:
    numeric = [
        bool(table.rows) and all(not isinstance(row[place], str | Share) for row in table.rows)
        for place in range(len(table.columns))
    ]
    classes = [' class="number"' if number else '' for number in numeric]
    head = ''.join(
        f'<th{kind}>{html.escape(name)}</th>' for kind, name in zip(classes, table.columns)
    )
    rows = [
        ''.join(f'<td{kind}>{_html_value(value)}</td>' for kind, value in zip(classes, row))
        for row in table.rows
    ]
    return f'<table><tr>{head}</tr>\n' + '\n'.join(f'<tr>{row}</tr>' for row in rows) + '</table>'


def _html_value(value: Value) -> str:
    if isinstance(value, Share):
        return (
            f'<span class="bar" style="width:{BAR_EM * value.value:.2f}em"></span>'
            f'{value_text(value)}'
        )
    return html.escape(value_text(value))


def _html_image(figure: Figure) -> str:
    data = base64.b64encode(_png(figure)).decode('ascii')
    height, width = figure.pixels.shape[:2]
    return (
        f'<img alt="{html.escape(figure.title)}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{data}">'
    )


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
        lines = '\n'.join(f'- {_escaped(line)}' for line in sample.lines)
        parts.append(
            f'**{_escaped(sample.figure.title)}**\n\n'
            f'{_markdown_image(sample.figure, stem)}\n\n{lines}'
        )
    return '\n\n'.join(parts)


def _markdown_image(figure: Figure, stem: str) -> str:
    return f'![{_escaped(figure.title)}]({_file_name(stem, figure)})'


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
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
