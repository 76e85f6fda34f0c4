"""Queries are sums of unit vectors, and pages of hits neither repeat nor miss one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.inference.naive_store import NaiveStore
from urbancross_mm.inference.store_search import Query, StoreSearch
from urbancross_mm.inference.stores import StoreItem

WIDTH = 8


def vector_of(name: str, length: float = 1.0) -> np.ndarray:
    """A vector of its own for every text or image."""
    seed = int.from_bytes(name.encode(), 'little') % 2**32
    row = np.random.default_rng(seed).normal(size=WIDTH)
    return (length * row / np.linalg.norm(row)).astype(np.float32)


class FakeEmbedder:
    """Texts and images by name; the length of a vector must not matter."""

    fingerprint = 'model 1'
    tokenizer = SimpleNamespace()
    model = SimpleNamespace(score_pairs=None)

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        return torch.from_numpy(np.stack([vector_of(text, 2.0) for text in texts]))

    def encode_images(self, images: list[str]) -> torch.Tensor:
        return torch.from_numpy(np.stack([vector_of(str(image), 3.0) for image in images]))

    encode_audio = encode_images


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def filled(number: int = 30, **attributes: dict) -> NaiveStore:
    store = NaiveStore('model 1')
    names = [f'i{n:02d}' for n in range(number)]
    store.add(
        [StoreItem(n, vector_of(n), dict(img_path=n, **attributes.get(n, {}))) for n in names]
    )
    return store


@pytest.fixture
def search() -> StoreSearch:
    return StoreSearch(FakeEmbedder(), filled())


def test_texts_images_and_recordings_are_averaged(search: StoreSearch) -> None:
    query = Query(texts=['a', 'b'], images=['c'], recordings=['d'])
    expected = unit(vector_of('a') + vector_of('b') + vector_of('c') + vector_of('d'))
    np.testing.assert_allclose(search.vector(query), expected, atol=1e-6)
    assert search.vector(query).dtype == np.float32


def test_a_minus_term_counts_half(search: StoreSearch) -> None:
    query = Query(texts=['a'], images=['b'], minus_texts=['c'], minus_images=['d'])
    expected = (vector_of('a') + vector_of('b')) / 2 - (vector_of('c') + vector_of('d')) / 4
    np.testing.assert_allclose(search.vector(query), unit(expected), atol=1e-6)


def test_marks_follow_rocchio(search: StoreSearch) -> None:
    query = Query(texts=['a'], likes=['i01', 'i02', 'i01'], dislikes=['i03'])
    expected = (
        vector_of('a') + 0.75 * (vector_of('i01') + vector_of('i02')) / 2 - 0.15 * vector_of('i03')
    )
    np.testing.assert_allclose(search.vector(query), unit(expected), atol=1e-6)
    assert search.search(Query(likes=['i07']), topk=1)[0]['id'] == 'i07'
    near = search.vector(Query(texts=['a'], likes=['i01'])) @ vector_of('i01')
    assert near > search.vector(Query(texts=['a'])) @ vector_of('i01')
    far = search.vector(Query(texts=['a'], dislikes=['i01'])) @ vector_of('i01')
    assert far < search.vector(Query(texts=['a'])) @ vector_of('i01')


def test_likes_without_a_text_take_minus_terms(search: StoreSearch) -> None:
    query = Query(likes=['i01'], minus_texts=['c'])
    expected = unit(vector_of('i01') - 0.5 * vector_of('c'))
    np.testing.assert_allclose(search.vector(query), expected, atol=1e-6)


def test_templates_are_averaged(search: StoreSearch) -> None:
    search = StoreSearch(search.embedder, search.store, ['photo of {}', '{} from above'])
    expected = unit(vector_of('photo of a') + vector_of('a from above'))
    np.testing.assert_allclose(search.vector(Query(texts=['a'])), expected, atol=1e-6)


def test_hits_are_the_largest_products_with_their_attributes(search: StoreSearch) -> None:
    hits = search.search(Query(texts=['a']), topk=4)
    scores = {name: float(vector_of(name) @ vector_of('a')) for name in search.store.rows}
    assert [hit['id'] for hit in hits] == sorted(scores, key=scores.get, reverse=True)[:4]
    assert [hit['rank'] for hit in hits] == [1, 2, 3, 4]
    assert hits[0]['score'] == pytest.approx(max(scores.values()), abs=1e-6)
    assert hits[0]['img_path'] == hits[0]['id']


def test_pages_make_up_the_whole_list(search: StoreSearch) -> None:
    query = Query(texts=['a'])
    pages = [search.search(query, topk=7, offset=start) for start in range(0, 35, 7)]
    assert [hit for page in pages for hit in page] == search.search(query, topk=99)
    assert [hit['rank'] for hit in pages[1]] == list(range(8, 15)) and len(pages[4]) == 2


def test_hidden_duplicates_leave_full_pages() -> None:
    """The best of each group stays, even if it is not the first one of the index."""
    marks = {f'i{n:02d}': dict(duplicate_of=f'i{n % 5:02d}') for n in range(5, 25)}
    search = StoreSearch(FakeEmbedder(), filled(30, **marks))
    whole = search.search(Query(texts=['a']), topk=99)
    groups, expected = set(), []
    for hit in whole:
        group = hit.get('duplicate_of', hit['id'])
        expected += [] if group in groups else [hit['id']]
        groups.add(group)
    pages = [
        search.search(Query(texts=['a']), 4, offset=start, hide_duplicates=True)
        for start in (0, 4, 8)
    ]
    assert [hit['id'] for page in pages for hit in page] == expected and len(expected) == 10
    assert [hit['rank'] for hit in pages[1]] == [5, 6, 7, 8]


def test_the_stamp_of_a_file_is_not_shown() -> None:
    search = StoreSearch(FakeEmbedder(), filled(2, i00=dict(stamp=[1, 2, 3, 'x'], score=7)))
    hit = search.search(Query(likes=['i00']), topk=1)[0]
    assert 'stamp' not in hit and hit['score'] == pytest.approx(1)


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (dict(), 'empty'),
        (dict(minus_texts=['a']), 'empty'),
        (dict(dislikes=['i01']), 'empty'),
        (dict(texts='a harbor'), "texts .*'a harbor'"),
        (dict(images=np.zeros((2, 2, 3), np.uint8)), 'images'),
    ],
)
def test_a_query_needs_something_to_find(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Query(**arguments)


@pytest.mark.parametrize(
    ('query', 'options', 'named'),
    [
        (Query(likes=['i99']), {}, "'i99'"),
        (Query(texts=['a'], dislikes=['../x']), {}, r"'\.\./x'"),
        (Query(texts=['  ']), {}, "'  '"),
        (Query(likes=['i01'], minus_images=['i01'], minus_texts=[]), dict(topk=0), 'topk .* 0'),
        (Query(texts=['a']), dict(offset=-1), 'offset .* -1'),
        (Query(texts=['a']), dict(topk=True), 'topk .* True'),
    ],
)
def test_what_cannot_be_searched(
    search: StoreSearch, query: Query, options: dict, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        search.search(query, **options)


def test_terms_that_cancel_out() -> None:
    search = StoreSearch(FakeEmbedder(), filled(3))
    search.store.rows['i00'] = StoreItem('i00', -0.75 * vector_of('i01'), {})
    search.store.rows['i02'] = StoreItem('i02', -vector_of('i01'), {})
    with pytest.raises(ValueError, match='cancel'):
        search.vector(Query(likes=['i01', 'i02']))


def test_what_another_model_made_is_refused() -> None:
    with pytest.raises(ValueError, match='model 2.*model 1'):
        StoreSearch(FakeEmbedder(), other_store())
    search = StoreSearch(FakeEmbedder(), NaiveStore('model 2'))  # empty: nothing is stale
    assert search.search(Query(texts=['x'])) == []
    search.store = other_store()  # what was empty has been filled meanwhile
    with pytest.raises(ValueError, match='model 2.*model 1'):
        search.search(Query(texts=['x']))


def other_store() -> NaiveStore:
    store = filled(2)
    store.fingerprint = 'model 2'
    return store


def test_a_model_that_scores_pairs_is_refused() -> None:
    embedder = FakeEmbedder()
    embedder.model = SimpleNamespace(score_pairs=lambda a, b: a)
    with pytest.raises(ValueError, match='scores pairs'):
        StoreSearch(embedder, filled(2))


@pytest.mark.parametrize('templates', [[], 'a {}', ['{}', 'no hole']])
def test_templates_need_a_hole(templates: object) -> None:
    with pytest.raises(ValueError, match='template'):
        StoreSearch(FakeEmbedder(), filled(2), templates)
