"""A retriever loads a CLIP of the field as if it were its own checkpoint."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import open_clip
import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint

from tests.inference.test_other_encoders import with_encoders
from tests.models.encoders.clip_files import CFG, FILES, IMAGE, TEXT, clip, published
from tests.runs import run, small_config, weights
from urbancross_mm.engine.hooks.checkpoint_guard_hook import CheckpointGuardHook
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.inference.checkpoints import build_model
from urbancross_mm.models import OpenCLIPImageEncoder, UrbanCross

TOWERS = dict(
    image_encoder=dict(type='OpenCLIPImageEncoder', model_cfg=CFG),
    text_encoder=dict(type='OpenCLIPTextEncoder', model_cfg=CFG),
)
HEAD = dict(type='RetrievalHead', loss=dict(type='InfoNCELoss'))
PLAIN = dict(type='CrossModalRetriever', **TOWERS, head=HEAD)
SEGMENTS = dict(type='UrbanCross', **TOWERS, head=HEAD)


@torch.no_grad()
def assert_same(retriever: Any, model: Any) -> None:
    retriever.eval()
    torch.testing.assert_close(retriever.encode_image(IMAGE), normalize(model.encode_image(IMAGE)))
    torch.testing.assert_close(retriever.encode_text(TEXT), normalize(model.encode_text(TEXT)))


@pytest.mark.parametrize('layout', FILES)
def test_tools_and_mmengine_load_every_layout(layout: str, tmp_path: Path) -> None:
    name, save = FILES[layout]
    model = clip()
    save(model, tmp_path / name)
    assert_same(build_model(PLAIN, str(tmp_path / name)), model)
    retriever = build_model(PLAIN)
    load_checkpoint(retriever, str(tmp_path / name))
    assert_same(retriever, model)


@pytest.mark.parametrize('segments', [False, True])
def test_the_segment_tower_of_a_published_checkpoint(segments: bool, tmp_path: Path) -> None:
    model, path = clip(), tmp_path / 'urbancross.pth'
    published(model, path, segments)
    retriever = build_model(SEGMENTS, str(path))
    assert_same(retriever, model)
    weights = torch.load(path, weights_only=False)['model']
    tower = 'clip_img_seg' if segments else 'clip_model'
    own = retriever.segment_encoder.encoder.tower.state_dict()
    assert all(torch.equal(own[name], weights[f'{tower}.visual.{name}']) for name in own)


def guarded(model: Any, weights: Any, name: str = 'RemoteCLIP.pt') -> tuple[dict, str]:
    """What the hook makes of a checkpoint that a test is about to load, and what it logs."""
    logger = Mock()
    runner = SimpleNamespace(
        model=model, _resume=False, _train_loop=None, _load_from=name, logger=logger
    )
    checkpoint = dict(state_dict=weights)
    CheckpointGuardHook().after_load_checkpoint(runner, checkpoint)
    return checkpoint['state_dict'], ' '.join(str(c.args[0]) for c in logger.info.call_args_list)


def test_load_from_says_what_it_loads(tmp_path: Path) -> None:
    published(clip(), tmp_path / 'x.pth', True, discriminator=True)
    model = build_model(PLAIN)
    named, said = guarded(model, torch.load(tmp_path / 'x.pth', weights_only=False)['model'])
    count = len(model.state_dict())
    assert f'loaded {count} of {count} weights from RemoteCLIP.pt' in said
    assert 'unexpected: ' in said and 'discriminator (1)' in said and 'segment (' in said
    assert model.state_dict().keys() <= named.keys()


def test_another_model_is_refused_with_names(tmp_path: Path) -> None:
    deeper = dict(CFG, vision_cfg=dict(CFG['vision_cfg'], width=128))
    with pytest.raises(
        ValueError, match=r'RemoteCLIP\.pt.*another shape.*class_embedding'
    ) as caught:
        guarded(build_model(PLAIN), clip(deeper).state_dict())
    assert '\n' not in str(caught.value)
    with pytest.raises(ValueError, match=r'RemoteCLIP\.pt.*missing'):
        guarded(build_model(PLAIN), {'layer4.0.conv1.weight': torch.ones(2)})


def test_another_image_size(tmp_path: Path) -> None:
    """The position embedding becomes that of open_clip's own resizing, whoever loads it."""
    torch.save(clip().state_dict(), tmp_path / 'clip.pt')
    options = dict(model_cfg=CFG, image_size=64)
    expected = OpenCLIPImageEncoder(pretrained=str(tmp_path / 'clip.pt'), **options).eval()
    large = dict(PLAIN, image_encoder=dict(type='OpenCLIPImageEncoder', **options))
    image = torch.randn(2, 3, 64, 64)
    small = build_model(PLAIN, str(tmp_path / 'clip.pt'))
    torch.save(dict(state_dict=small.state_dict()), tmp_path / 'own.pth')
    for name in ('clip.pt', 'own.pth'):
        found = build_model(large, str(tmp_path / name)).eval()
        with torch.no_grad():
            torch.testing.assert_close(found.image_encoder(image), expected(image))
    shared = UrbanCross(**TOWERS)
    given = small.state_dict()
    assert shared.own_weights(given) is given  # nothing to change


def test_timm_resizes_its_own_positions(tmp_path: Path) -> None:
    tower = dict(timm_model_name='vit_tiny_patch16_224', timm_pool='', timm_proj='linear')
    cfg = dict(CFG, vision_cfg=dict(tower, image_size=224))
    model = open_clip.CustomTextCLIP(**cfg)
    encoder = OpenCLIPImageEncoder(model_cfg=cfg, image_size=96)
    own = encoder.own_weights(model.state_dict())
    assert own['tower.trunk.pos_embed'].shape == encoder.tower.trunk.pos_embed.shape
    encoder.load_state_dict(own)
    assert torch.isfinite(encoder(torch.randn(1, 3, 96, 96))).all()


def test_a_run_starts_from_a_published_checkpoint(in_sample_dir: Path, tmp_path: Path) -> None:
    """In a Runner with all its hooks: trained at a rate of 0 the weights are the published ones."""
    text = dict(CFG['text_cfg'], vocab_size=49408, context_length=16)
    clip_cfg = dict(CFG, text_cfg=text)
    model = clip(clip_cfg)
    published(model, tmp_path / 'urbancross.pth', segments=True, discriminator=True)
    cfg = with_encoders(
        small_config('urbancross_finland_no-segments.py', tmp_path / 'run'),
        dict(type='OpenCLIPImageEncoder', model_cfg=clip_cfg),
        dict(type='OpenCLIPTextEncoder', model_cfg=clip_cfg),
        dict(type='OpenCLIPTokenizer', context_length=16),
    )
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.0)
    cfg.load_from = str(tmp_path / 'urbancross.pth')
    run(cfg)
    found = weights(tmp_path / 'run/epoch_1.pth')
    for name, value in model.visual.state_dict().items():
        assert torch.equal(found[f'image_encoder.tower.{name}'], value), name
    (log,) = (tmp_path / 'run').glob('*/*.log')
    assert 'weights from ' in log.read_text() and 'discriminator (1)' in log.read_text()
