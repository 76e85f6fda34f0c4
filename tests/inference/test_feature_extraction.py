"""A file of features holds what the encoders of a config give one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import load_config
from urbancross_mm.datasets.feature_file import open_features
from urbancross_mm.inference import feature_extraction
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.feature_extraction import config_items, extract_features
from urbancross_mm.inference.image_files import image_record
from urbancross_mm.structures.annotations import load_annotations

ROOT = Path('data/sample/ucm')


@pytest.fixture
def cfg(in_sample_dir: Path) -> Config:
    reset_mmengine_state()
    return load_config(CONFIGS / 'baselines/mobilenet-v2_minilm_ucm.py', sample=True)


def items(*splits: str) -> list[dict]:
    return [
        item
        for split in splits
        for item in load_annotations(str(ROOT / f'annotations/ucm_{split}.json'))[1]
    ]


def test_equals_the_encoders_one_by_one(cfg: Config, tmp_path: Path) -> None:
    model = Embedder.from_config(cfg, device='cpu').model
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'weights.pth')
    out = str(tmp_path / 'features.npz')
    counts = extract_features(cfg, out, tmp_path / 'weights.pth', 'cpu', batch_size=7)
    features = open_features(out)
    embedder = Embedder.from_config(cfg, tmp_path / 'weights.pth', device='cpu')
    every = items('train', 'val', 'test')
    captions = {caption for item in every for caption in item['captions']}
    assert counts == dict(images=len(every), texts=len(captions), image_width=64, text_width=256)
    model = embedder.model
    for item in every[::9]:
        record = image_record(str(ROOT / 'images' / item['img_path']))
        image = embedder.pipeline(record)['inputs']['image']
        inputs = model.data_preprocessor(dict(inputs=dict(image=[image])))['inputs']
        with torch.no_grad():
            feats = model.image_encoder.pooled(inputs['image'])[0].numpy()
            words = model.text_encoder.pooled(embedder.tokenizer(item['captions'])).numpy()
        np.testing.assert_allclose(features.image(item['img_id']), feats, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(features.texts(item['captions']), words, rtol=1e-4, atol=1e-5)


def test_it_says_where_the_features_come_from(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, captions = config_items(cfg)
    few = dict(list(images.items())[:2]), captions[:2]
    monkeypatch.setattr(feature_extraction, 'config_items', lambda cfg: few)
    model = Embedder.from_config(cfg, device='cpu').model
    results = []
    for number, part in enumerate(('text_encoder.projection', 'text_encoder.gru', None)):
        torch.save(dict(state_dict=model.state_dict()), tmp_path / f'{number}.pth')
        out = str(tmp_path / f'{number}.npz')
        extract_features(cfg, out, tmp_path / f'{number}.pth', 'cpu')
        results.append(open_features(out).metadata)
        if part:
            with torch.no_grad():
                next(model.get_submodule(part).parameters()).add_(1)
    assert results[0]['config'] == 'mobilenet-v2_minilm_ucm.py'
    assert results[0]['checkpoint'] == '0.pth' and results[0]['version']
    assert results[0]['pipeline'][0] == dict(type='LoadImage')
    # The projection takes no part in the features, the rest does.
    assert results[0]['weights'] == results[1]['weights'] != results[2]['weights']


def test_items_of_wrapped_and_cut_datasets(cfg: Config) -> None:
    train = dict(cfg.train_dataloader.dataset, indices=3)
    val = dict(cfg.val_dataloader.dataset)
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset',
        datasets=[
            train,
            dict(type='mmpretrain.KFoldDataset', dataset=dict(val, captions='sample')),
        ],
    )
    cfg.val_dataloader = None
    images, captions = config_items(cfg)
    every = items('train', 'val', 'test')
    assert sorted(images) == sorted(item['img_id'] for item in every)
    assert set(captions) == {caption for item in every for caption in item['captions']}


def test_texts_of_an_unlabeled_target_are_among_them(cfg: Config) -> None:
    cfg.train_dataloader.dataset = dict(
        type='UnpairedDataset', data_root=str(ROOT), ann_file='annotations/ucm_train.json'
    )
    assert set(config_items(cfg)[1]) >= {
        caption for item in items('train') for caption in item['captions']
    }


def test_labels_of_a_target_are_among_them(cfg: Config, tmp_path: Path) -> None:
    train = items('train')
    (tmp_path / 'anchors.csv').write_text(f'image,caption\n{train[0]["img_id"]},my words\n')
    part = dict(
        data_root=str(ROOT),
        ann_file='annotations/ucm_train.json',
        anchors_file=str(tmp_path / 'anchors.csv'),
    )
    members = [dict(part, type=name) for name in ('AnchorDataset', 'UnpairedDataset')]
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=members)
    cfg.val_dataloader = cfg.test_dataloader = None
    images, captions = config_items(cfg)
    assert sorted(images) == sorted(item['img_id'] for item in train)
    assert 'my words' in captions


def test_one_id_for_two_images_is_refused(cfg: Config, tmp_path: Path) -> None:
    cfg.test_dataloader.dataset.data_prefix = dict(img_path='seg_maps')
    cfg.test_dataloader.dataset.ann_file = cfg.val_dataloader.dataset.ann_file = (
        'annotations/ucm_train.json'
    )
    cfg.test_dataloader.dataset.data_root = str(tmp_path)
    (tmp_path / 'annotations').symlink_to((ROOT / 'annotations').resolve())
    (tmp_path / 'seg_maps').mkdir()
    with pytest.raises(ValueError, match="'ucm/.*images/.*seg_maps/"):
        config_items(cfg)


def test_what_cannot_be_extracted(cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='annotation'):
        config_items(Config(dict(test_dataloader=None)))
    out = tmp_path / 'f.npz'
    cfg.model = dict(type='MaskedSegmentPool')
    with pytest.raises(ValueError, match='MaskedSegmentPool'):
        extract_features(cfg, out)
    assert not out.exists()
