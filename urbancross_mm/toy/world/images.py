"""One image with everything that belongs to it, drawn and written by any process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from urbancross_mm.toy.world import masks
from urbancross_mm.toy.world.audio import spoken_caption
from urbancross_mm.toy.world.captions import describe, five_captions
from urbancross_mm.toy.world.countries import COUNTRIES
from urbancross_mm.toy.world.generate import build_scene
from urbancross_mm.toy.world.geotags import (
    geojson_features,
    title_multi_objects,
    world_file,
)
from urbancross_mm.toy.world.render import render
from urbancross_mm.utils.ids import stable_id

QUALITY = 90
UNCAPTIONED = 'uncaptioned'  # a style
FEW = 64  # so many images are drawn sooner than a worker process starts


@dataclass(frozen=True)
class Job:
    """What to draw and where to write it.

    Args:
        root (str): Folder of the set.
        name (str): Image below ``images``, with suffix.
        seed (tuple[int, ...]): Of the sample, the set and the image.
        country (str): Style.
        kind (str | None): Scene kind; None draws one.
        size (int): Image width in pixels.
        style (str): ``country`` for one description, ``uncaptioned`` for a mask alone, else the
            style of five captions.
        folders (bool): Also write the published JPEG of every segment. Defaults to False.
        audio (tuple[str, ...]): Names of the spoken captions, none to leave them out.
        mask (str): Name of the mask of its classes below ``masks``, '' to leave it out.
    """

    root: str
    name: str
    seed: tuple[int, ...]
    country: str
    kind: str | None
    size: int
    style: str
    folders: bool = False
    audio: tuple[str, ...] = ()
    mask: str = ''


@dataclass
class Record:
    """What the text files of a set say about one image.

    Args:
        name (str): Image below ``images``.
        kind (str): Scene kind.
        captions (list[str]): One or five.
        title (str): Geo-tags in one line.
        lon (float): Degrees.
        lat (float): Degrees.
        features (list): GeoJSON features.
    """

    name: str
    kind: str
    captions: list[str]
    title: str
    lon: float
    lat: float
    features: list[dict[str, Any]] = field(default_factory=list)


def image_seed(seed: int, dataset: str, index: int) -> tuple[int, ...]:
    """Seed of one image: the same whatever else is drawn."""
    return seed, stable_id(dataset) & 0xFFFFFFFF, index


def draw_image(job: Job) -> Record:
    """Draw one image and write it with its segments, mask of classes and spoken captions."""
    scene = build_scene(COUNTRIES[job.country], job.seed, job.kind)
    rendering = render(scene, job.size)
    root, stem = Path(job.root), Path(job.name).with_suffix('')
    save_image(rendering.image, root / 'images' / job.name)
    if job.mask:
        painted = (masks.cover_map if job.style == UNCAPTIONED else masks.class_map)(
            scene, rendering
        )
        painted.save(_parent(root / 'masks' / job.mask))
    if job.style == UNCAPTIONED:
        return Record(job.name, scene.kind, [], '', scene.lon, scene.lat)
    segments = masks.segments_of(scene, rendering)
    text = masks.sidecar_text(segments, job.size)
    sidecar = root / 'segments' / stem.with_name(stem.name + '.json')
    _parent(sidecar).write_text(text, encoding='utf-8')
    if job.folders:
        folder = root / 'image_segments' / stem
        folder.mkdir(parents=True, exist_ok=True)
        for segment in segments:
            save_image(
                masks.white_background(rendering.image, segment.mask),
                folder / f'{stem.name}_{segment.rank}.jpg',
            )
    if job.style == 'country':
        captions = [describe(scene, (*job.seed, 2))]
    else:
        captions = five_captions(scene, job.style, (*job.seed, 3))
    for number, (name, caption) in enumerate(zip(job.audio, captions)):
        save_image(spoken_caption(caption, (*job.seed, 4, number)), root / 'audio' / name)
    features = []
    if job.style == 'country':
        features = geojson_features(scene, job.name)
        (root / 'images' / stem).with_suffix('.jgw').write_text(
            world_file(scene, rendering.image.shape[1])
        )
    return Record(
        job.name, scene.kind, captions, title_multi_objects(scene), scene.lon, scene.lat, features
    )


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def save_image(image: NDArray[np.uint8], path: Path) -> None:
    """Write a gray or RGB image; the suffix decides the format."""
    options: dict[str, Any] = {'quality': QUALITY} if path.suffix == '.jpg' else {}
    Image.fromarray(image).save(_parent(path), **options)


def draw_all(jobs: list[Job], workers: int | None = None) -> list[Record]:
    """Draw many images, in several processes if there are enough of them; the order stays."""
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers <= 1 or len(jobs) <= FEW:
        return list(_progress(map(draw_image, jobs), len(jobs)))
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Forking a process that has run OpenCV or torch threads can hang; spawned ones start clean.
    with ProcessPoolExecutor(workers, get_context('spawn'), _one_thread) as pool:
        return list(_progress(pool.map(draw_image, jobs, chunksize=16), len(jobs)))


def _progress(records: Iterable[Record], total: int) -> Iterator[Record]:
    # Shown on a terminal only: in a log every step would be a line.
    return iter(tqdm(records, desc='sample', total=total, unit='image', disable=None))


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(0)
