"""Whole domains embedded as a test embeds them."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import load_config
from urbancross_mm.functional import label_free
from urbancross_mm.inference.domain_embeds import DomainEmbeds, compare_domains, embed_test_set
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.registry import DATASETS
from urbancross_mm.structures import RetrievalDataSample


@pytest.fixture
def cfg(in_sample_dir: Path) -> Config:
    reset_mmengine_state()
    return load_config(CONFIGS / 'urbancross_spain.py', sample=True)


@pytest.fixture
def embedder(cfg: Config) -> Embedder:
    return Embedder.from_config(cfg, device='cpu', batch_size=3)


def test_they_are_the_embeddings_of_the_test_set(embedder: Embedder, cfg: Config) -> None:
    result = embed_test_set(embedder, cfg)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    infos = [dataset.get_data_info(position) for position in range(len(dataset))]
    images = embedder.encode_images([info['img_path'] for info in infos])
    texts = embedder.encode_texts([text for info in infos for text in info['texts']])
    assert result.name == 'spain'
    for rows, expected in ((result.image_embeds, images), (result.text_embeds, texts)):
        assert rows.shape == expected.shape
        # The same rows in another order: each has its duplicate.
        assert (rows @ expected.t()).amax(dim=1).min() > 0.9999
        assert (rows @ expected.t()).amax(dim=0).min() > 0.9999


def test_the_choice_is_of_the_seed(embedder: Embedder, cfg: Config) -> None:
    one, same, other = (embed_test_set(embedder, cfg, 4, seed) for seed in (1, 1, 2))
    assert len(one.image_embeds) == len(one.text_embeds) == 4
    assert torch.equal(one.image_embeds, same.image_embeds)
    assert torch.equal(one.text_embeds, same.text_embeds)
    assert not torch.equal(one.text_embeds, other.text_embeds)


def test_several_domains_are_named(embedder: Embedder) -> None:
    several = load_config(CONFIGS / 'urbancross_integration.py', sample=True)
    assert embed_test_set(embedder, several).name == 'finland+germany+spain'


def test_nothing_to_embed_is_an_error(
    embedder: Embedder, cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match='max_items .* 0'):
        embed_test_set(embedder, cfg, 0)
    sample = RetrievalDataSample(metainfo=dict(domain='spain'))
    sample.image_embeds, sample.text_embeds = torch.ones(4), torch.ones(0, 4)
    monkeypatch.setattr(embedder.model, 'test_step', lambda batch: [sample])
    with pytest.raises(ValueError, match='the 1 '):
        embed_test_set(embedder, cfg, 1)


def test_compared_by_the_label_free_scores() -> None:
    source, target = (DomainEmbeds(name, torch.randn(30, 8), torch.randn(40, 8)) for name in 'ab')
    assert compare_domains(source, target) == dict(
        a_distance_image=label_free.proxy_a_distance(source[1], target[1]),
        a_distance_text=label_free.proxy_a_distance(source[2], target[2]),
        hubness_i2t=label_free.hubness(target[1], target[2]),
        hubness_t2i=label_free.hubness(target[2], target[1]),
        agreement=label_free.structure_agreement(target[1], target[2]),
    )
