"""The toy world, ready to train on."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

SAMPLE_ROOT = 'data/sample'


def ensure_sample(root: str | Path = SAMPLE_ROOT) -> None:
    """Generate and convert the toy world if it is not there yet.

    Args:
        root (str | Path): Where the ``--sample`` overlay looks for it. Defaults to 'data/sample'.

    Raises:
        FileNotFoundError: If it is missing in a run of several processes, which would overwrite
            each other.
    """
    from urbancross_mm.toy.convert import convert_sample, is_converted
    from urbancross_mm.toy.world import make_sample
    from urbancross_mm.toy.world.make import MANIFEST, VERSION

    manifest = Path(root) / MANIFEST
    earlier = _read(manifest) if manifest.is_file() else {}
    version = earlier.get('version')
    if manifest.is_file() and version != VERSION:
        print(
            f'note: the sample at {root} is of version {version!r}, this code draws version '
            f'{VERSION}: python tools/misc/make_sample.py --root {root} --force draws it again',
            file=sys.stderr,
        )
    if manifest.is_file() and is_converted(root):
        return
    if max(int(os.environ.get(name) or 1) for name in ('WORLD_SIZE', 'SLURM_NTASKS')) > 1:
        raise FileNotFoundError(
            f'no sample data at {root}: run python tools/misc/make_sample.py --root {root} first'
        )
    if version != VERSION:
        # An earlier version may lack what a converter of this one reads: drawn again, as it was.
        print(
            f'drawing the sample in {Path(root).absolute()}, once: a minute or two', file=sys.stderr
        )
        same = {key: earlier[key] for key in ('images', 'seed', 'image_size') if key in earlier}
        make_sample(root, **same, force=bool(earlier))
    convert_sample(root)


def _read(manifest: Path) -> dict[str, Any]:
    try:
        return {**json.loads(manifest.read_text(encoding='utf-8'))}
    except (ValueError, TypeError) as error:
        raise ValueError(f'{manifest} is not a JSON object: {error}') from error
