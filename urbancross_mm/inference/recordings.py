"""Reading recordings, such as spoken queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import Compose, pseudo_collate

from urbancross_mm.datasets.transforms.audio import LoadAudio, LoadSpectrogramImage
from urbancross_mm.datasets.transforms.formatting import PackRetrievalInputs


def recording_steps(steps: Sequence[Any]) -> Compose | None:
    """What a test pipeline does with recordings.

    Args:
        steps (Sequence): Its transforms.

    Returns:
        Compose | None: Loading and packing; None if the pipeline reads no recordings.
    """
    loading = [step for step in steps if isinstance(step, LoadAudio | LoadSpectrogramImage)]
    return Compose([*loading, PackRetrievalInputs()]) if loading else None


def load_recordings(steps: Compose, paths: Sequence[str | Path]) -> dict[str, Any]:
    """Read recordings as one batch.

    Args:
        steps (Compose): Of :func:`recording_steps`.
        paths (Sequence[str | Path]): The files.

    Returns:
        dict: For the data preprocessor of a retriever.

    Raises:
        FileNotFoundError: If a recording is missing.
        ValueError: If one cannot be read.
    """
    return pseudo_collate([steps(dict(audio_paths=[str(path)])) for path in paths])
