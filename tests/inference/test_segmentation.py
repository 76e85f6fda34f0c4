"""Class maps of images, their names and colors, and masks of what a search finds."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tests.segmenting import WITHOUT, save_weights, segmenting_config
from urbancross_mm.apis import RetrievalInferencer, load_config
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.segmentation import class_shares, read_legend
from urbancross_mm.registry import DATASETS
from urbancross_mm.utils.images import read_image

FOLDER = Path('data/sample/rsitmd/images')
ANNOTATIONS = Path('data/sample/rsitmd/annotations/rsitmd_train.json')


@pytest.fixture
def cfg(in_sample_dir: Path) -> Config:
    return segmenting_config()


@pytest.fixture
def embedder(cfg: Config) -> Embedder:
    return Embedder.from_config(cfg, device='cpu', batch_size=2)


def test_maps_have_the_size_of_their_images(embedder: Embedder, tmp_path: Path) -> None:
    paths = sorted(map(str, FOLDER.iterdir()))[:2]
    wide = np.tile(read_image(paths[0])[0], (1, 2, 1))
    Image.fromarray(wide).save(tmp_path / 'wide.png')
    maps = embedder.segment([*paths, tmp_path / 'wide.png', wide])
    assert [one.shape for one in maps] == [(64, 64), (64, 64), (64, 128), (64, 128)]
    assert all(one.dtype == np.uint8 and one.max() < 15 for one in maps)
    assert len(np.unique(maps[0])) > 1 and np.array_equal(maps[2], maps[3])
    assert embedder.segment([]) == []


def test_they_are_what_a_test_evaluates(cfg: Config, embedder: Embedder) -> None:
    cfg.test_dataloader.dataset.indices = 3
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    for sample in embedder.predict(dataset):
        (own,) = embedder.segment([sample.img_path])
        assert np.mean(own == sample.pred_sem_seg.data[0].numpy()) > 0.99


def test_a_model_without_a_decode_head_is_refused(in_sample_dir: Path) -> None:
    cfg = load_config(WITHOUT, sample=True)
    embedder = Embedder.from_config(cfg, device='cpu')
    with pytest.raises(ValueError, match='decode_head'):
        embedder.segment([])
    inferencer = RetrievalInferencer(cfg, device='cpu')
    inferencer.build_index(sorted(FOLDER.iterdir())[:2], progress=False)
    with pytest.raises(ValueError, match='decode_head'):
        inferencer.search('a pond', with_masks=True)


def test_shares_of_the_classes() -> None:
    labels = np.array([[2, 2, 2, 0], [255, 255, 2, 255]], np.uint8)
    assert class_shares(labels, ['a', 'b', 'c']) == {'c': 0.8, 'a': 0.2}
    assert list(class_shares(labels, ['a', 'b', 'c'])) == ['c', 'a']
    assert class_shares(np.full((2, 2), 255, np.uint8), ['a']) == {}


def test_where_names_and_colors_come_from(cfg: Config, embedder: Embedder, tmp_path: Path) -> None:
    model = embedder.model
    written = json.loads(ANNOTATIONS.read_text())['metainfo']
    legend = read_legend(model, None, cfg)
    assert legend.names == written['classes']
    assert list(map(list, legend.palette)) == written['palette']

    names = [f'kind {k}' for k in range(15)]
    noted = save_weights(model, tmp_path / 'a.pth', classes=names)
    assert read_legend(model, noted, cfg) == (names, None)
    # Classes of other data, and none at all.
    for meta in (dict(classes=['one', 'two']), dict(domain='x')):
        other = save_weights(model, tmp_path / 'b.pth', **meta)
        assert read_legend(model, other, cfg).names == written['classes']
    for loader in ('train', 'val', 'test'):
        cfg[f'{loader}_dataloader'].dataset.data_root = 'nowhere'
    assert read_legend(model, None, cfg) == ([f'class {k}' for k in range(15)], None)
    cfg.test_dataloader.dataset.metainfo = dict(classes=names)
    assert read_legend(model, None, cfg).names == names


def test_a_gallery_is_encoded_without_segmenting_for_nothing(cfg: Config, monkeypatch) -> None:
    cfg.model.pyramid['attention'] = None
    embedder = Embedder.from_config(cfg, device='cpu')
    monkeypatch.setattr(embedder.model.pyramid.decode_head, 'forward', None)
    paths = [str(path) for path in sorted(FOLDER.iterdir())[:3]]
    assert len(embedder.encode_files(paths, progress=False).embeds) == 3


def test_masks_of_what_is_found(cfg: Config, embedder: Embedder, monkeypatch) -> None:
    inferencer = RetrievalInferencer(cfg, device='cpu', batch_size=2)
    inferencer.build_index(sorted(FOLDER.iterdir())[:6], progress=False)
    segmented = []
    segment = inferencer.embedder.segment
    monkeypatch.setattr(
        inferencer.embedder, 'segment', lambda paths: segmented.extend(paths) or segment(paths)
    )
    plain = inferencer.search('a pond', topk=3)
    assert not segmented and not any('class_map' in hit for hit in plain)
    hits = inferencer.search('a pond', topk=3, with_masks=True)
    assert segmented == [hit['img_path'] for hit in hits]
    for hit, expected in zip(hits, embedder.segment(segmented)):
        assert np.array_equal(hit['class_map'], expected)
        assert sum(hit['classes'].values()) == pytest.approx(1)
        assert set(hit['classes']) <= set(inferencer.legend.names)
    for hit in hits:
        del hit['class_map'], hit['classes']
    assert hits == plain


def test_heads_that_give_several_logits(embedder: Embedder, monkeypatch) -> None:
    paths = sorted(FOLDER.iterdir())[:2]
    expected = embedder.segment(paths)
    head = embedder.model.pyramid.decode_head
    forward = head.forward
    monkeypatch.setattr(head, 'forward', lambda maps: (forward(maps), torch.zeros(2, 15, 4, 4)))
    assert all(map(np.array_equal, embedder.segment(paths), expected))
