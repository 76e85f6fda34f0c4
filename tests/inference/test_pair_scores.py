"""Search by a model that scores pairs, and who refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from tests.evaluation.metrics.test_pair_ranks import scorer
from tests.inference.test_retrieval_errors import untied
from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import RetrievalInferencer, load_config
from urbancross_mm.curation import RetrieverScorer
from urbancross_mm.evaluation import RecallAtK
from urbancross_mm.inference import pair_scores
from urbancross_mm.inference.domain_embeds import embed_test_set
from urbancross_mm.inference.pair_scores import PairIndex
from urbancross_mm.inference.retrieval_errors import RetrievalErrors
from urbancross_mm.structures import Gallery

BANK = dict(type='inverted_softmax')
IMAGES = Path('data/sample/urbancross/Finland/images')


@pytest.fixture
def cfg(in_sample_dir: Path) -> Config:
    reset_mmengine_state()
    torch.manual_seed(0)
    cfg = load_config(CONFIGS / 'urbancross_finland_no-segments.py', sample=True)
    cfg.model.type, cfg.model.attention = 'AMFMN', dict(gate='sim')
    cfg.model.pyramid = dict(weighting=dict(type='MultiscaleVisualNeck', grid=5))
    return cfg


@pytest.fixture
def inferencer(cfg: Config) -> RetrievalInferencer:
    return RetrievalInferencer(cfg, device='cpu', batch_size=7)


def index_of(feats: Tensor) -> PairIndex:
    index = PairIndex(lambda queries, items: scorer(items, queries).t())
    index.add(feats)
    return index


@pytest.mark.parametrize('size', [1, 4, 65536])
def test_the_index_ranks_by_the_scores(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_scores, '_ITEMS', size)
    monkeypatch.setattr(pair_scores, '_QUERIES', 2)
    items, queries = torch.randn(11, 6), torch.randn(5, 6)
    items[7] = items[3]
    expected = scorer(items, queries).t()
    result = index_of(items).search(queries, topk=4)
    assert torch.equal(result.indices, expected.argsort(dim=1, descending=True, stable=True)[:, :4])
    torch.testing.assert_close(result.scores, expected.gather(1, result.indices).float())
    found = index_of(items).search(queries, topk=11).indices.tolist()
    assert all(row.index(3) + 1 == row.index(7) for row in found)  # equal: the first one first
    where = torch.arange(11) % 2 == 1
    some = index_of(items).search(queries, topk=20, where=where)
    assert some.indices.shape == (5, 5) and (some.indices % 2 == 1).all()


def test_rows_come_in_the_order_of_adding() -> None:
    first, second = torch.randn(3, 6), torch.randn(2, 6)
    index, query = index_of(first), torch.randn(1, 6)
    index.add(second)
    assert len(index) == 5
    whole = index_of(torch.cat([first, second])).search(query, 5)
    assert torch.equal(index.search(query, 5).indices, whole.indices)
    with pytest.raises(ValueError, match='topk .* 0'):
        index.search(query, 0)


def test_a_gallery_is_searched_by_the_scores(
    inferencer: RetrievalInferencer, tmp_path: Path
) -> None:
    gallery = inferencer.build_index(IMAGES, progress=False)
    gallery.save(tmp_path / 'gallery')
    inferencer.use_gallery(Gallery.load(tmp_path / 'gallery'))
    query = 'a lake beside a forest'
    embedder = inferencer.embedder
    text = embedder.encode_texts([query])[0]
    expected = {
        path: float(embedder.model.score_pairs(embedder.encode_images([path]), text[None]))
        for path in gallery.ids
    }
    hits = inferencer.search(query, topk=5)
    assert [h['img_path'] for h in hits] == sorted(expected, key=lambda p: -expected[p])[:5]
    assert hits[0]['score'] == pytest.approx(max(expected.values()), abs=1e-4)
    # Products of the features would say something else.
    assert hits[0]['score'] != pytest.approx(float((gallery.embeds @ text).max()), abs=1e-2)
    itself = inferencer.search(image=gallery.ids[5], topk=1)[0]
    assert itself['img_path'] == gallery.ids[5] and itself['score'] == pytest.approx(1, abs=1e-4)


def test_who_compares_vectors_refuses_it(cfg: Config, inferencer: RetrievalInferencer) -> None:
    for refuses in (
        lambda: inferencer.encode_texts(['a lake']),
        lambda: inferencer.encode_images([next(IMAGES.iterdir())]),
        lambda: embed_test_set(inferencer.embedder, cfg),
        lambda: RetrievalInferencer(cfg, rerank=BANK, query_bank=['a lake', 'a road']),
        lambda: RetrieverScorer(cfg.model, cfg.test_dataloader.dataset.pipeline).begin('cpu'),
    ):
        with pytest.raises(ValueError, match='AMFMN scores pairs'):
            refuses()


def test_lists_of_errors_are_ranked_by_the_scores() -> None:
    samples: list[Any] = untied()
    for sample in samples:
        sample.set_data(dict(score_pairs=scorer))
    images = torch.stack([sample.image_embeds for sample in samples])
    scores = scorer(images, torch.cat([sample.text_embeds for sample in samples]))
    errors = RetrievalErrors(samples, RecallAtK(), topk=5)
    order = scores.argsort(dim=1, descending=True)
    right = order // 5 == torch.arange(13)[:, None]
    assert torch.equal(errors.i2t.found, order[:, :5])
    assert errors.i2t.rank.tolist() == [float(row.nonzero()[0] + 1) for row in right]
    assert torch.equal(errors.t2i.found, scores.t().argsort(dim=1, descending=True)[:, :5])
    own = scores[torch.arange(65) // 5, torch.arange(65)]
    assert errors.t2i.rank.tolist() == ((scores > own).sum(dim=0) + 1).tolist()
