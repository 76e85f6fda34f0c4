"""The sample world, ready to train on."""

from __future__ import annotations

import os
from pathlib import Path

SAMPLE_ROOT = 'data/sample'


def ensure_sample(root: str | Path = SAMPLE_ROOT) -> None:
    """Generate and convert the sample world if it is not there yet.

    Args:
        root (str | Path): Where the ``--sample`` overlay looks for it. Defaults to 'data/sample'.

    Raises:
        FileNotFoundError: If it is missing in a run of several processes, which would write it
            over each other.
    """
    from urbancross_mm.datasets.converters import convert_sample, is_converted
    from urbancross_mm.datasets.sample_world import make_sample
    from urbancross_mm.datasets.sample_world.make import MANIFEST

    drawn = (Path(root) / MANIFEST).is_file()
    if drawn and is_converted(root):
        return
    if max(int(os.environ.get(name) or 1) for name in ('WORLD_SIZE', 'SLURM_NTASKS')) > 1:
        raise FileNotFoundError(
            f'no sample data at {root}: run python tools/misc/make_sample.py --root {root} first')
    if not drawn:
        make_sample(root)
    convert_sample(root)
