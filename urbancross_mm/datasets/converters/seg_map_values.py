"""From the values or colors of published masks to class indices."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.datasets.rsitmd_ss import METAINFO, VALUE_STEP
from urbancross_mm.structures.class_maps import IGNORE_INDEX, check_classes, is_color
from urbancross_mm.utils.images import open_image, read_class_map, read_image
from urbancross_mm.utils.text_files import read_json


@dataclass(frozen=True)
class MapReader:
    """Reads masks as class indices.

    Attributes:
        classes (list[str]): Names.
        palette (list[list[int]] | None): A color for each class; None: not known.
        values (list[int] | None): The value in a file of each class; None: files hold colors, those
            of the palette.
        ignored (tuple[int, ...]): Values that stand for no class by definition.
        strict (bool): Whether another value is an error; else it is no class, and counted.
    """

    classes: list[str]
    palette: list[list[int]] | None
    values: list[int] | None
    ignored: tuple[int, ...] = (IGNORE_INDEX,)
    strict: bool = False

    def read(self, path: str) -> tuple[np.ndarray, int]:
        """Read a mask.

        Args:
            path (str): The file.

        Shape:
            - output: ``(H, W)``.

        Returns:
            tuple[np.ndarray, int]: uint8 class indices, 255 for no class, and how many pixels have
            a value or color that stands for nothing.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be decoded, or (``strict``) has such a value.
        """
        if self.values is None:
            raw, ignored = _packed(read_image(path)[0]), []
            values = [int(_packed(np.array(color))) for color in self.palette or ()]
        else:
            raw, ignored, values = read_class_map(path), list(self.ignored), self.values
        labels = np.full(raw.shape, IGNORE_INDEX, np.uint8)
        strange = ~np.isin(raw, ignored)
        for index, value in enumerate(values):
            found = raw == value
            labels[found] = index
            strange &= ~found
        if self.strict and strange.any():
            raise ValueError(
                f'mask {path} has the value {int(raw[strange].min())}, which is none of the '
                f'{len(self.classes)} classes: {", ".join(self.classes)}'
            )
        return labels, int(strange.sum())

    def with_palette_of(self, path: str) -> MapReader:
        """Take the colors of a palette PNG, where none are known."""
        if self.palette is not None or self.values is None:
            return self
        with open_image(path, path) as image:
            colors = image.getpalette('RGB') if image.mode == 'P' else None
        if colors is None or len(colors) < 3 * (max(self.values) + 1):
            return self
        return replace(self, palette=[colors[3 * value : 3 * value + 3] for value in self.values])


def _packed(colors: np.ndarray) -> np.ndarray:
    """One number for each color ``(..., 3)``."""
    parts = colors.astype(np.int32)
    return parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2]


def rsitmd_ss_reader() -> MapReader:
    """RSITMD-SS: ten times the index of 15 classes."""
    values = [VALUE_STEP * index for index in range(len(METAINFO['classes']))]
    # No label for ignored pixels is published, so 255 is a defect like any other.
    return MapReader(METAINFO['classes'], METAINFO['palette'], values, ignored=())


def index_reader(classes: Sequence[str], reduce_zero_label: bool = False) -> MapReader:
    """Masks that hold indices, as mmseg's converters write them.

    Args:
        classes (Sequence[str]): Names, or one name of a dataset that mmseg knows.
        reduce_zero_label (bool): 0 is no class and 1 the first one. Defaults to False.

    Returns:
        MapReader: Strict.

    Raises:
        ValueError: If there is no such list of classes.
    """
    names, palette = list(classes), None
    if len(names) == 1:
        names, palette = _published_classes(names[0])
    first = int(reduce_zero_label)
    check_classes(dict(classes=names), '--classes')
    return MapReader(
        names,
        palette,
        list(range(first, first + len(names))),
        ignored=(0, IGNORE_INDEX) if reduce_zero_label else (IGNORE_INDEX,),
        strict=True,
    )


def _published_classes(name: str) -> tuple[list[str], list[list[int]] | None]:
    from mmseg.utils import get_classes, get_palette

    try:
        return list(get_classes(name)), [list(color) for color in get_palette(name)]
    except ValueError:
        raise ValueError(
            f'--classes needs the names of all classes, or a dataset that mmseg knows, such as '
            f'loveda, potsdam or isaid; got {name!r}'
        ) from None


def legend_reader(path: Path) -> MapReader:
    """Masks whose legend is a JSON file.

    Args:
        path (Path): ``{"building": [230, 25, 75], ...}`` or ``{"building": "#e6194b", ...}`` for
            masks of colors; ``{"0": "building", ...}`` for masks of values.

    Returns:
        MapReader: The classes in the order of the file; by value if it has values.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such legend.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no legend at {path}: --legend names it')
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(
            f'legend {path} must be an object of names and colors, got {content!r:.80}'
        )
    by_value = all(key.isdecimal() and isinstance(name, str) for key, name in content.items())
    if by_value:
        named = sorted((int(key), name) for key, name in content.items())
        reader = MapReader([name for _, name in named], None, [value for value, _ in named])
        if named[-1][0] > IGNORE_INDEX:
            raise ValueError(f'legend {path} has the value {named[-1][0]}: masks have 8 bits')
    else:
        palette = [_color(value, f'legend {path}, {name!r}') for name, value in content.items()]
        if len(set(map(tuple, palette))) < len(palette):
            raise ValueError(f'legend {path} gives one color to two classes')
        reader = MapReader(list(content), palette, None)
    check_classes(dict(classes=reader.classes), f'legend {path}')
    return reader


def _color(value: Any, where: str) -> list[int]:
    if isinstance(value, str) and len(value) == 7 and value[0] == '#':
        with contextlib.suppress(ValueError):
            return list(bytes.fromhex(value[1:]))
    if is_color(value):
        return value
    raise ValueError(f"{where}: a color is [red, green, blue] or '#rrggbb', got {value!r:.80}")


def encode_map(labels: np.ndarray, palette: Sequence[Sequence[int]] | None) -> bytes:
    """A class map as a PNG of 8 bits, with the colors of its classes if they are known.

    Args:
        labels (np.ndarray): uint8 class indices.
        palette (Sequence | None): A color for each class.

    Returns:
        bytes: The file; its values are the indices.
    """
    image = Image.fromarray(labels)
    if palette is not None:
        # All 256 colors: with fewer, values would be packed into fewer bits.
        colors = [tuple(color) for color in palette]
        image.putpalette([part for color in (colors + [(128,) * 3] * 256)[:256] for part in color])
    buffer = io.BytesIO()
    image.save(buffer, format='PNG')
    return buffer.getvalue()
