"""A page of images to label."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

from urbancross_mm.utils.images import read_image

SIDE = 200  # of an image, in pixels
STYLE = (
    'body{font:14px sans-serif}figure{display:inline-block;vertical-align:top;margin:8px;'
    f'width:{SIDE}px}}figcaption{{overflow-wrap:anywhere}}'
)


def label_sheet(images: Sequence[tuple[str, str, str]], title: str) -> str:
    """An HTML page with the images in it, their numbers, names and guesses.

    Args:
        images (Sequence[tuple[str, str, str]]): Name, path and guess of each. A missing file has
            no image.
        title (str): Of the page.

    Returns:
        str: HTML that needs no other file.
    """
    figures = [
        f'<figure>{_embedded_image(path)}<figcaption><b>{number}</b> {html.escape(name)}<br>'
        f'<i>{html.escape(guess)}</i></figcaption></figure>'
        for number, (name, path, guess) in enumerate(images, 1)
    ]
    title = html.escape(title)
    return (
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f'<h1>{title}</h1>\n' + '\n'.join(figures) + '\n'
    )


def _embedded_image(path: str) -> str:
    try:
        pixels, _ = read_image(path)
    except FileNotFoundError:  # features of the images were read
        return 'image not found'
    content = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE)).save(content, 'jpeg')
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="">'
