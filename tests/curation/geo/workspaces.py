"""A folder of images as the tiling stage leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.curation import ImageRecord, Workspace
from urbancross_mm.utils.hashing import file_digest


def make_workspace(
    folder: Path, images: Mapping[str, Mapping[str, Any]]
) -> tuple[Workspace, list[ImageRecord]]:
    """Blotches of a few colors, one image a name, with the fields that are known of it."""
    workspace = Workspace(folder, folder / 'out')
    results = []
    for number, (name, fields) in enumerate(images.items()):
        colors = np.random.default_rng(number).integers(0, 256, (2, 3, 3), np.uint8)
        pixels = np.kron(colors, np.ones((10, 8 + number, 1), np.uint8))
        path = workspace.image_path(ImageRecord(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        results.append(ImageRecord(name, dict(sha=file_digest(path), **fields)))
    return workspace, results
