"""A small retriever that segments, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from tests.runs import CONFIGS
from urbancross_mm.apis import load_config
from urbancross_mm.utils.setup_env import reset_mmengine_state

CONFIG = CONFIGS / 'sirs/sirs.py'
WITHOUT = CONFIGS / 'urbancross_finland_no-segments.py'
NARROW = {'model.text_encoder.embed_dim': 256, 'model.image_encoder.backbone.base_channels': 4}
NARROW['model.image_encoder.in_channels'] = 32


def segmenting_config(**options: Any) -> Config:
    """SIRS on the sample, narrow."""
    reset_mmengine_state()
    return load_config(CONFIG, {**NARROW, **options}, sample=True)


def save_weights(model: torch.nn.Module, path: Path, **dataset_meta: Any) -> Path:
    """A checkpoint as the hook writes it."""
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dataset_meta)), path)
    return path
