"""Encoders of other packages in a whole run: train, validate, save, and load the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.encoders.tiny_transformers import FAMILIES
from tests.runs import reset_mmengine_state, run, small_config, weights
from urbancross_mm.apis import build_runner
from urbancross_mm.functional import similarity
from urbancross_mm.inference.checkpoints import for_checkpoint
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.registry import MODELS
from urbancross_mm.utils.config import nested_dicts

UNET = dict(
    type='BackboneEncoder',
    embed_dim=256,
    backbone=dict(type='mmseg.UNet', base_channels=2),
)


def with_encoders(cfg: Any, image: dict, text: dict | None, tokenizer: dict | None) -> Any:
    """The config with other towers, and images of 32 pixels."""
    cfg.model.image_encoder = image
    if text is not None:
        cfg.model.text_encoder = text
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        for step in nested_dicts(loader):
            if step.get('type') in ('ResizeImage', 'RandomCropImage'):
                step['scale' if 'scale' in step else 'size'] = 32
            if step.get('type') == 'TokenizeText' and tokenizer is not None:
                step['tokenizer'] = tokenizer
    return cfg


@pytest.mark.parametrize('kind', ['unet', 'clip', 'siglip'])
def test_a_run(kind: str, in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = small_config('urbancross_finland_no-segments.py', tmp_path / 'run')
    if kind == 'unet':
        towers = [UNET, None, None]
    else:
        folder = FAMILIES[kind].save(tmp_path / kind)
        towers = [
            dict(type='HuggingFaceImageEncoder', path=folder),
            dict(type='HuggingFaceTextEncoder', path=folder, pool='pooler', trainable_layers=1),
            dict(type='HuggingFaceTokenizer', path=folder, max_length=20),
        ]
    cfg = with_encoders(cfg, *towers)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
    runner = run(cfg)
    (path,) = (tmp_path / 'run').glob('epoch_1.pth')
    model = MODELS.build(for_checkpoint(cfg.model.to_dict()))
    result = weights(path)
    model.load_state_dict(result)
    for name, weight in runner.model.state_dict().items():
        assert torch.equal(weight.cpu(), result[name]), name


def test_the_tokenizer_of_another_encoder_is_refused(in_sample_dir: Path, tmp_path: Path) -> None:
    """Before the first step of a training, and before the first query."""
    bert, roberta = (FAMILIES[name].save(tmp_path / name) for name in ('bert', 'roberta'))
    cfg = with_encoders(
        small_config('urbancross_finland_no-segments.py', tmp_path / 'run'),
        dict(type='HuggingFaceImageEncoder', path=FAMILIES['clip'].save(tmp_path / 'clip')),
        dict(type='HuggingFaceTextEncoder', path=roberta, embed_dim=6),
        dict(type='HuggingFaceTokenizer', path=bert, max_length=20),
    )
    reset_mmengine_state()
    with pytest.raises(ValueError, match=r'train_dataloader: .*HuggingFaceTokenizer.* pads .* 1'):
        build_runner(cfg).train()
    with pytest.raises(ValueError, match='HuggingFaceTokenizer.*HuggingFaceTextEncoder'):
        Embedder.from_config(cfg)


def test_long_captions_by_sentences(in_sample_dir: Path, tmp_path: Path) -> None:
    """They train, and in a search a text has the mean of the features of its sentences."""
    cfg = small_config('urbancross_finland_no-segments.py', tmp_path / 'run')
    short = dict(type='VocabTokenizer', vocab_file='data/sample/vocab.json', max_length=4)
    image = dict(cfg.model.image_encoder, embed_dim=256)
    cfg = with_encoders(cfg, image, None, dict(type='SentenceTokenizer', tokenizer=short))
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
    run(cfg)
    embedder = Embedder.from_config(cfg, tmp_path / 'run' / 'epoch_1.pth')
    parts = ['A red roof.', 'Many trees and roads.']
    whole, *alone = embedder.encode_texts([' '.join(parts), *parts])
    rows = embedder.tokenizer.inner(parts)
    with torch.no_grad():
        feats = embedder.model.text_encoder(rows)
    torch.testing.assert_close(whole, similarity.normalize(feats.mean(dim=0)))
    torch.testing.assert_close(torch.stack(alone), similarity.normalize(feats))
