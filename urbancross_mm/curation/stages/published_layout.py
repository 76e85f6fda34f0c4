"""Captions as a table in the layout of the published folders."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from urbancross_mm.curation.core.records import ImageRecord

# Columns of the published file that are left out if no image has a value.
OPTIONAL_COLUMNS = ('title_multi_objects', 'lon', 'lat')


def captions_table(images: Sequence[ImageRecord]) -> str:
    """The captions as a CSV with the published columns."""
    rows = [
        dict(
            image_name=image.name,
            description='; '.join(image.fields['captions']),
            title_multi_objects=_title(image.fields),
            lon=image.fields.get('lon'),
            lat=image.fields.get('lat'),
        )
        for image in images
    ]
    known = [
        column for column in OPTIONAL_COLUMNS if any(row[column] not in (None, '') for row in rows)
    ]
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, ['image_name', 'description', *known], extrasaction='ignore', lineterminator='\n'
    )
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _title(fields: Mapping[str, Any]) -> str:
    """Tags as in SkyScript. Its separators within a tag become spaces."""
    focus, around = (
        [re.sub(r'\s*[,;]\s*', ' ', tag) for tag in fields.get(key) or ()]
        for key in ('focus', 'around')
    )
    text = f'{", ".join(focus)};' if focus else ''
    return f'{text} surrounded by {", ".join(around)};'.strip() if around else text
