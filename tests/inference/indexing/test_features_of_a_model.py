"""Features of a real model give the vectors that its images give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.inference.indexing.test_builder import build, content
from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import load_config
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.feature_extraction import extract_features


def test_features_and_images_give_one_index(in_sample_dir: Path, tmp_path: Path) -> None:
    reset_mmengine_state()
    cfg = load_config(CONFIGS / 'baselines/mobilenet-v2_minilm_ucm.py', sample=True)
    weights = tmp_path / 'weights.pth'
    model = Embedder.from_config(cfg, device='cpu').model
    torch.save(dict(state_dict=model.state_dict()), weights)
    extract_features(cfg, tmp_path / 'f.npz', weights, 'cpu')
    embedder = Embedder.from_config(cfg, weights, device='cpu')
    build(tmp_path / 'a', tmp_path / 'f.npz', embedder=embedder)
    build(tmp_path / 'b', 'data/sample/ucm/annotations/ucm_test.json', embedder=embedder)
    by_features = {a['img_id']: embed for embed, a in content(tmp_path / 'a').values()}
    by_images = {a['img_id']: embed for embed, a in content(tmp_path / 'b').values()}
    assert by_images and by_images.keys() <= by_features.keys()
    for name, embed in by_images.items():
        np.testing.assert_allclose(by_features[name], embed, atol=1e-4)
    # Other encoders, other features: refused before any work.
    with torch.no_grad():
        next(embedder.model.image_encoder.parameters()).add_(1)
    with pytest.raises(ValueError, match=r'f\.npz.*other weights'):
        build(tmp_path / 'c', tmp_path / 'f.npz', embedder=embedder)
    assert not (tmp_path / 'c').exists()
