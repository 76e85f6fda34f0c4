"""Queries of several terms, conditions and pages, over a gallery and over an index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.runs import CONFIGS, reset_mmengine_state
from urbancross_mm.apis import RetrievalInferencer, load_config
from urbancross_mm.inference.indexing import IndexBuilder, open_sources
from urbancross_mm.inference.search_query import Query
from urbancross_mm.structures.filters import Filter

CONFIG = CONFIGS / 'urbancross_finland_no-segments.py'
IMAGES = Path('data/sample/urbancross/Finland/images')


def inferencer_with(**options) -> RetrievalInferencer:
    reset_mmengine_state()
    torch.manual_seed(0)
    return RetrievalInferencer(load_config(CONFIG, sample=True), device='cpu', **options)


@pytest.fixture
def inferencer(in_sample_dir: Path) -> RetrievalInferencer:
    inferencer = inferencer_with()
    names = sorted(path.name for path in IMAGES.glob('*.jpg'))
    metadata = {name: dict(country='ab'[n % 2], n=n) for n, name in enumerate(names)}
    inferencer.build_index(IMAGES, metadata, progress=False)
    return inferencer


def test_terms_equal_plain_arithmetic(inferencer: RetrievalInferencer) -> None:
    embeds = inferencer.gallery.embeds.numpy()
    road, lake, forest = inferencer.encode_texts(['a road', 'a lake', 'a forest']).numpy()
    query = (road + lake) / 2 - forest / 2
    expected = np.argsort(-(embeds @ query))[:5]
    hits = inferencer.search(Query(texts=['a road', 'a lake'], minus_texts=['a forest']), topk=5)
    assert [hit['n'] for hit in hits] == expected.tolist()
    liked = Query(texts=['a road'], likes=[inferencer.gallery.ids[3]])
    scores = embeds @ (road + 0.75 * embeds[3])
    assert [h['n'] for h in inferencer.search(liked, topk=5)] == np.argsort(-scores)[:5].tolist()


def test_conditions_and_pages_of_a_gallery(inferencer: RetrievalInferencer) -> None:
    whole = inferencer.search('a road', topk=99)
    kept = [hit for hit in whole if hit['country'] == 'a' and hit['n'] > 4]
    for where in (['country=a', 'n>4'], Filter.parse(['country=a', 'n>4'])):
        hits = inferencer.search('a road', topk=99, where=where)
        assert [hit['img_path'] for hit in hits] == [hit['img_path'] for hit in kept]
    page = inferencer.search('a road', topk=3, offset=2)
    assert [hit['img_path'] for hit in page] == [hit['img_path'] for hit in whole[2:5]]
    assert [hit['rank'] for hit in page] == [3, 4, 5]
    with pytest.raises(ValueError, match='nothing'):
        inferencer.search('a road', where='nothing=1')


def test_an_index_answers_as_the_gallery(inferencer: RetrievalInferencer, tmp_path: Path) -> None:
    location = str(tmp_path / 'index')
    builder = IndexBuilder(inferencer.embedder, location, progress=False)
    builder.build(open_sources([str(IMAGES)]))
    paths = sorted(str(path) for path in IMAGES.glob('*.jpg'))
    calls = (dict(text='a road'), dict(image=paths[2]), dict(text='a lake', topk=3))
    answers = [inferencer.search(**call) for call in calls]
    store = inferencer.open_index(location)
    assert len(store) == len(paths) and inferencer.gallery is None
    for call, expected in zip(calls, answers):
        hits = inferencer.search(**call)
        assert [Path(h['img_path']).name for h in hits] == [
            Path(h['img_path']).name for h in expected
        ]
        assert [h['score'] for h in hits] == pytest.approx([h['score'] for h in expected], abs=1e-4)
    with pytest.raises(ValueError, match='function'):
        inferencer.search('a road', where=lambda record: True)
    with pytest.raises(ValueError, match='decode head'):
        inferencer.search('a road', with_masks=True)


def test_templates_change_texts_alone(in_sample_dir: Path) -> None:
    prompts = ['an aerial image of {}', '{} from above']
    inferencer = inferencer_with(templates=prompts)
    gallery = inferencer.build_index(IMAGES, progress=False)
    rows = inferencer.encode_texts([prompt.replace('{}', 'a road') for prompt in prompts])
    scores = gallery.embeds @ (rows.mean(0) / rows.mean(0).norm())
    hits = inferencer.search('a road', topk=4)
    assert [hit['img_path'] for hit in hits] == [gallery.ids[n] for n in scores.topk(4).indices]
    assert hits[0]['score'] == pytest.approx(float(scores.max()), abs=1e-5)
    best = inferencer.search(image=gallery.ids[3], topk=1)[0]
    assert best['img_path'] == gallery.ids[3] and 'rerank_score' not in best
    with pytest.raises(ValueError, match="'photo'"):
        inferencer_with(templates=['photo'])


def test_rerank_takes_one_text(in_sample_dir: Path, tmp_path: Path) -> None:
    inferencer = inferencer_with(rerank=dict(type='inverted_softmax'), query_bank=['a lake'])
    inferencer.build_index(IMAGES, progress=False)
    assert 'rerank_score' in inferencer.search('a road')[0]
    for call in (dict(offset=3), dict(where='n=1'), dict(hide_duplicates=True)):
        with pytest.raises(ValueError, match='rerank'):
            inferencer.search('a road', **call)
    with pytest.raises(ValueError, match='rerank'):
        inferencer.open_index(str(tmp_path))


def test_an_index_of_another_model_or_none(inferencer: RetrievalInferencer, tmp_path: Path) -> None:
    location = str(tmp_path / 'index')
    IndexBuilder(inferencer.embedder, location, progress=False).build(open_sources([str(IMAGES)]))
    with torch.no_grad():
        next(inferencer.embedder.model.parameters()).add_(1e-3)
    inferencer.embedder._fingerprint = ''
    with pytest.raises(ValueError, match=f'now {inferencer.fingerprint[:8]}'):
        inferencer.open_index(location)
    with pytest.raises(ValueError, match='nowhere'):
        inferencer.open_index(str(tmp_path / 'nowhere'))
    assert inferencer.search('a road', topk=1)  # the gallery is still there
