"""Writing the whole sample, once and completely."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from urbancross_mm.toy.world import layouts
from urbancross_mm.toy.world.countries import COUNTRIES
from urbancross_mm.toy.world.images import draw_all
from urbancross_mm.utils.files import atomic_write

VERSION = 4  # raise it whenever the same seed gives other bytes
MANIFEST = 'sample.json'
MARKER = 'sample.unfinished'
PRECOMP = ('rsicd', 'rsitmd', 'ucm')
SCENES = 'dronedeploy'
DEFAULT_IMAGES = {
    **dict.fromkeys(COUNTRIES, 400),
    **dict.fromkeys(PRECOMP, 250),
    SCENES: 100,
}
# How each set is drawn and written.
LAYOUTS = {
    **dict.fromkeys(COUNTRIES, (layouts.country_jobs, layouts.write_country)),
    **dict.fromkeys(PRECOMP, (layouts.precomp_jobs, layouts.write_precomp)),
    SCENES: (layouts.scene_jobs, layouts.write_scenes),
}
FEWEST = 10


def make_sample(
    root: str | Path,
    images: int | Mapping[str, int] | None = None,
    seed: int = 0,
    image_size: int = 128,
    workers: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write the sample world in the published folder layouts.

    An image depends on the seed, its set and its number alone, so more images, other sets or
    other workers never change it. ``sample.json`` is written last: a sample that was interrupted
    is made again, a finished one with the same arguments is left alone.

    With several workers, call this below ``if __name__ == '__main__':`` as processes are spawned.

    Args:
        root (str | Path): New or earlier sample folder.
        images (int | Mapping | None): Images of every set, or of the named sets, the others
            keeping their default. Defaults to 400 per country, 250 per precomp set and
            100 with masks alone.
        seed (int): Equal seeds give equal bytes. Defaults to 0.
        image_size (int): Width and height in pixels. Defaults to 128.
        workers (int | None): Processes; None takes one per core. Defaults to None.
        force (bool): Replace a sample that was made with other arguments. Defaults to False.

    Returns:
        dict: ``version``, ``seed``, ``image_size``, ``images`` asked for and ``counts`` of every
        set, as in ``sample.json``.

    Raises:
        FileExistsError: If the folder holds a sample of other arguments, or something else.
        ValueError: If a number is out of range or a set unknown.
    """
    root = Path(root)
    numbers = _check(images, seed, image_size)
    arguments = {'version': VERSION, 'seed': seed, 'image_size': image_size, 'images': numbers}
    finished = _clear(root, arguments, force)
    if finished:
        return finished
    atomic_write(root / MARKER, json.dumps(arguments))
    plan = layouts.Plan(root, seed, image_size)
    counts = _write_sets(plan, numbers, workers)
    summary = {**arguments, 'counts': counts}
    atomic_write(root / MANIFEST, json.dumps(summary, indent=2) + '\n')
    (root / MARKER).unlink()
    return summary


def _write_sets(
    plan: layouts.Plan, images: dict[str, int], workers: int | None
) -> dict[str, dict[str, int]]:
    """Draw the images of all sets in one go, then write the text files of each."""
    jobs = {name: LAYOUTS[name][0](plan, name, number) for name, number in images.items()}
    records = draw_all([job for part in jobs.values() for job in part], workers)
    counts, done = {}, 0
    for name, part in jobs.items():
        counts[name] = LAYOUTS[name][1](plan, name, records[done : done + len(part)])
        done += len(part)
    return counts


def _check(images: int | Mapping[str, int] | None, seed: int, image_size: int) -> dict[str, int]:
    """The number of images of every set."""
    if isinstance(images, int):
        images = dict.fromkeys(DEFAULT_IMAGES, images)
    images = dict(images or {})
    unknown = sorted(set(images) - set(DEFAULT_IMAGES))
    if unknown:
        raise ValueError(f'unknown sets {unknown}; there are {sorted(DEFAULT_IMAGES)}')
    few = {name: number for name, number in images.items() if number < FEWEST}
    if few:
        raise ValueError(f'every set needs at least {FEWEST} images, got {few}')
    if seed < 0 or not 32 <= image_size <= 2048:
        raise ValueError(
            f'seed must not be negative and image_size must be 32 to 2048, got '
            f'seed {seed} and image_size {image_size}'
        )
    return {**DEFAULT_IMAGES, **images}


def _clear(root: Path, arguments: dict[str, Any], force: bool) -> dict[str, Any] | None:
    """Return the summary of a finished equal sample, else make room for a new one."""
    manifest = root / MANIFEST
    folders = [root / layouts.folder_of(name) for name in DEFAULT_IMAGES]
    present = [folder for folder in folders if folder.exists()]
    # Never delete what this function did not write, not even by force: it may be real data.
    if present and not manifest.is_file() and not (root / MARKER).is_file():
        raise FileExistsError(
            f'{present[0]} exists but {root} is no sample (no {MANIFEST}): choose another folder'
        )
    if manifest.is_file():
        summary = json.loads(manifest.read_text(encoding='utf-8'))
        if all(summary.get(key) == value for key, value in arguments.items()) and not force:
            return summary
        # An earlier version had fewer sets: a folder of a new one is not its own.
        foreign = [name for name in DEFAULT_IMAGES if name not in summary.get('images', ())]
        if other := next((f for f in map(layouts.folder_of, foreign) if (root / f).exists()), None):
            raise FileExistsError(
                f'{root / other} exists but is no part of the sample in {root}: move it, or choose '
                'another folder'
            )
        if not force:
            raise FileExistsError(
                f'{root} holds a sample made with other arguments, see '
                f'{manifest}: choose another folder, or --force'
            )
    atomic_write(root / MARKER, json.dumps(arguments))
    manifest.unlink(missing_ok=True)
    for folder in present:
        shutil.rmtree(folder)
    return None
