"""One query against a bank: the same as the whole matrix, without the matrix."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import RetrievalInferencer, load_config
from urbancross_mm.functional.reranking import inverted_softmax, multivariate_rerank
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.inference import query_bank
from urbancross_mm.inference.queries import read_queries
from urbancross_mm.inference.query_bank import QueryBank

IMAGES = Path('data/sample/urbancross/Finland/images')
BANK = 'data/sample/urbancross/Finland/annotations/finland_train.json'
CASES = [
    dict(type='multivariate', candidates=4),
    dict(type='multivariate', share_weight=2.0),
    dict(type='inverted_softmax', scale=9.0),
    dict(type='inverted_softmax', dynamic=True),
]


def vectors(seed: int, number: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(number, 6, generator=generator))


def by_matrix(query: Tensor, bank: Tensor, gallery: Tensor, rerank: dict) -> Tensor:
    """The definition, (N,)."""
    options = {key: value for key, value in rerank.items() if key != 'type'}
    scores, others = query @ gallery.t(), bank @ gallery.t()
    if rerank['type'] == 'multivariate':
        return multivariate_rerank(torch.cat([scores, others]), **options)[0]
    return inverted_softmax(scores, others, **options)[0]


@pytest.mark.parametrize('rerank', CASES)
@pytest.mark.parametrize('held', [2**24, 40])
def test_against_the_whole_matrix(rerank: dict, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_bank, 'MAX_SCORES', held)
    gallery, others = vectors(0, 40), vectors(1, 25)
    bank = QueryBank(others, rerank)
    bank.prepare(gallery)
    changed = 0
    for query in vectors(2, 12).split(1):
        expected = by_matrix(query, others, gallery, rerank)
        found = bank.search(query, topk=40)
        torch.testing.assert_close(found.corrected, expected[found.rows], rtol=1e-5, atol=1e-6)
        assert (found.corrected.diff() <= 0).all() and found.rows.unique().numel() == 40
        torch.testing.assert_close(found.scores, (query @ gallery[found.rows].t())[0])
        changed += not torch.equal(found.scores.argsort(descending=True), torch.arange(40))
    assert changed


def test_dynamic_leaves_a_query_alone_that_finds_no_hub() -> None:
    gallery = torch.eye(4)
    bank = QueryBank(gallery[:1].repeat(3, 1), dict(type='inverted_softmax', dynamic=True))
    bank.prepare(gallery)
    far = bank.search(gallery[3:] + 0.5 * gallery[:1], 4)
    assert torch.equal(far.scores, far.corrected)
    near = bank.search(gallery[:1] + 0.9 * gallery[3:], 4)
    assert near.rows[0] == 3 and near.scores[0] < near.scores[1]


@pytest.mark.parametrize('rerank', CASES)
def test_a_filter_searches_the_rest(rerank: dict) -> None:
    gallery = vectors(0, 20)
    mask = torch.arange(20) % 3 == 0
    bank = QueryBank(vectors(1, 9), rerank)
    bank.prepare(gallery)
    assert set(bank.search(vectors(2, 1), 20, mask).rows.tolist()) == set(range(0, 20, 3))
    assert len(bank.search(vectors(2, 1), 3, mask).rows) == 3
    assert len(bank.search(vectors(2, 1), 3, torch.zeros(20, dtype=torch.bool)).rows) == 0
    with pytest.raises(ValueError, match='topk .* 0'):
        bank.search(vectors(2, 1), 0)


def test_banks_of_texts_and_files(in_sample_dir: Path, tmp_path: Path) -> None:
    assert read_queries(['a road', 'a lake', 'a road']) == ['a road', 'a lake']
    (tmp_path / 'texts.txt').write_text('a road\n\n  a lake \na road\n')
    assert read_queries(tmp_path / 'texts.txt') == ['a road', 'a lake']
    assert len(read_queries(BANK)) == len(set(read_queries(BANK))) > 20
    (tmp_path / 'empty.txt').write_text('\n')
    for bank in ([], ['a', ''], ['a', 3], tmp_path / 'empty.txt'):
        with pytest.raises(ValueError, match='bank of queries'):
            read_queries(bank)
    with pytest.raises(FileNotFoundError, match=r'none\.txt'):
        read_queries('none.txt')


def test_the_inferencer_reranks_texts_alone(in_sample_dir: Path) -> None:
    reset_mmengine_state()
    cfg = load_config(CONFIGS / 'urbancross_finland_no-segments.py', sample=True)
    torch.manual_seed(0)
    rerank = dict(type='inverted_softmax', scale=50.0)
    plain = RetrievalInferencer(cfg, device='cpu')
    torch.manual_seed(0)
    other = RetrievalInferencer(cfg, device='cpu', rerank=rerank, query_bank=BANK)
    gallery = plain.build_index(IMAGES, progress=False)
    other.use_gallery(gallery)
    found = other.search('a road', topk=5)
    expected = by_matrix(
        plain.encode_texts(['a road']),
        plain.encode_texts(read_queries(BANK)),
        gallery.embeds,
        rerank,
    )
    assert [hit['img_path'] for hit in found] == [
        gallery.ids[row] for row in expected.argsort(descending=True, stable=True)[:5]
    ]
    scores = {hit['img_path']: hit['score'] for hit in plain.search('a road', topk=len(gallery))}
    for hit in found:
        assert hit['score'] == pytest.approx(scores[hit['img_path']], abs=1e-5)
    path = gallery.ids[3]
    assert other.search(image=path, topk=5) == plain.search(image=path, topk=5)
    for options in (dict(rerank=rerank), dict(query_bank=['a road'])):
        with pytest.raises(ValueError, match='rerank=.*query_bank='):
            RetrievalInferencer(cfg, device='cpu', **options)
