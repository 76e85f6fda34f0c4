"""Searching a store by texts, images and marks, added and subtracted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.functional.similarity import normalize
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.pair_scores import check_comparable
from urbancross_mm.inference.queries import check_templates, encode_prompts
from urbancross_mm.inference.search_query import ImageQuery, Query
from urbancross_mm.inference.stores import BaseStore, StoreHit
from urbancross_mm.inference.stores.item_checks import check_fingerprint
from urbancross_mm.structures.filters import Filter

# Weights of Rocchio's feedback, those of the textbook (reference in :class:`StoreSearch`).
ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15
# A minus term counts half: at full weight the best hits are what is least like it.
MINUS = 0.5
# Attributes that serve the index and not its reader.
INTERNAL = frozenset(('stamp', 'from_table'))
# Hits to fetch beyond a page where duplicates are hidden.
SPARE = 32

Where = Filter | str | Sequence[str] | None

__all__ = ['Query', 'StoreSearch', 'Where', 'filter_of']


class StoreSearch:
    """Turns queries into one vector and looks it up in a store.

    With t, m, l and d the unit vectors of texts and images, minus terms, likes and dislikes::

        q = mean(t) - 0.5 mean(m)
        vector = 1.0 unit(q) + 0.75 mean(l) - 0.15 mean(d)

    scaled to unit length. Without texts and images, the likes take the place of t, and only that.
    A text is the mean of its templates, as CLIP averages prompts.

    Args:
        embedder (Embedder): The model.
        store (BaseStore): Holds vectors of this model.
        templates (Sequence[str]): Each with ``{}`` for the text. Defaults to the text alone.

    Raises:
        ValueError: If the model scores pairs, another model filled the store, or a template has
            no ``{}``.

    Reference:
        Manning, Raghavan, Schuetze: Introduction to Information Retrieval, 2008, section 9.1.1
        (Rocchio 1971) https://nlp.stanford.edu/IR-book/

    Examples:
        >>> search = StoreSearch(embedder, store, templates=['an aerial image of {}'])
        >>> search.search(Query(texts=['a harbor'], minus_texts=['boats']), topk=5)
    """

    def __init__(
        self, embedder: Embedder, store: BaseStore, templates: Sequence[str] = ('{}',)
    ) -> None:
        check_comparable(embedder.model, 'searching a store')
        self.embedder = embedder
        self.store = store
        self.templates = check_templates(templates)
        self._check_model()

    def vector(self, query: Query) -> np.ndarray:
        """Encode a query.

        Args:
            query (Query): What is searched for.

        Shape:
            - output: ``(D,)``, unit length, float32.

        Returns:
            np.ndarray: What the store is searched by.

        Raises:
            ValueError: If a text is empty, an image cannot be read, an id is not in the store,
                or the terms cancel out.
        """
        terms = [
            *self.encode_texts(query.texts),
            *self._encode_images(query.images),
            *self._encode_recordings(query.recordings),
        ]
        minus = [*self.encode_texts(query.minus_texts), *self._encode_images(query.minus_images)]
        liked, disliked = self._items(query.likes), self._items(query.dislikes)
        total = ALPHA * _unit(_mean(terms or liked) - MINUS * _mean(minus))
        if terms:
            total = total + BETA * _mean(liked)
        return _unit(total - GAMMA * _mean(disliked))

    def search(
        self,
        query: Query,
        topk: int = 10,
        where: Where = None,
        offset: int = 0,
        hide_duplicates: bool = False,
    ) -> list[dict[str, Any]]:
        """Find the items closest to a query.

        Args:
            query (Query): What is searched for.
            topk (int): Number of results at most. Defaults to 10.
            where (Filter | str | Sequence[str], optional): Which items may come back, as conditions
                such as ``'country=spain'``. Defaults to None: all.
            offset (int): Results to skip; a page never repeats one. Defaults to 0.
            hide_duplicates (bool): Of items that are near-duplicates of each other
                (``duplicate_of``), show the best only. Pages stay full. Defaults to False.

        Returns:
            list[dict]: Best first: ``rank`` (from ``offset + 1``), ``score``, ``id`` and the
            attributes of the item, such as ``img_path``, ``window``, ``lon`` and ``lat``.

        Raises:
            ValueError: See :meth:`vector`; or if ``topk`` or ``offset`` is not possible.
        """
        return self.search_vector(self.vector(query), topk, where, offset, hide_duplicates)

    def search_vector(
        self,
        vector: np.ndarray,
        topk: int = 10,
        where: Where = None,
        offset: int = 0,
        hide_duplicates: bool = False,
    ) -> list[dict[str, Any]]:
        """As :meth:`search`, for a query that is encoded already.

        Args:
            vector (np.ndarray): Of :meth:`vector`.
            topk (int): Number of results at most. Defaults to 10.
            where (Filter | str | Sequence[str], optional): Which items may come back, as conditions
                such as ``'country=spain'``. Defaults to None: all.
            offset (int): Results to skip. Defaults to 0.
            hide_duplicates (bool): Show one of each group of duplicates. Defaults to False.

        Shape:
            - vector: ``(D,)``.

        Returns:
            list[dict]: Best first.

        Raises:
            ValueError: If ``topk`` or ``offset`` is not possible, or another model has filled the
                store, which was empty.
        """
        _check_whole('topk', topk, 1)
        _check_whole('offset', offset, 0)
        conditions = filter_of(where)
        if hide_duplicates:
            hits = self._distinct(vector, topk, conditions, offset)
        else:
            hits = self.store.search(vector, topk, conditions, offset)
        self._check_model()
        return [_record(hit, rank) for rank, hit in enumerate(hits, offset + 1)]

    def encode_texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Encode texts, each as the mean of the templates.

        Args:
            texts (Sequence[str]): The texts.

        Shape:
            - each output: ``(D,)``, unit length.

        Returns:
            list[np.ndarray]: One vector per text.

        Raises:
            ValueError: If one is empty.
        """
        return [encode_prompts(self.embedder, text, self.templates).numpy() for text in texts]

    def _check_model(self) -> None:
        """Refuse the vectors of another model; an empty store belongs to none."""
        if self.store.width:
            name = type(self.store).__name__
            check_fingerprint(self.store.fingerprint, self.embedder.fingerprint, name)

    def _encode_images(self, images: Sequence[ImageQuery]) -> list[np.ndarray]:
        if not images:
            return []
        return list(normalize(self.embedder.encode_images(images)).numpy())

    def _encode_recordings(self, paths: Sequence[str | Path]) -> list[np.ndarray]:
        return list(normalize(self.embedder.encode_audio(paths)).numpy()) if paths else []

    def _items(self, ids: Sequence[str]) -> list[np.ndarray]:
        """Vectors of items by id; each id counts once."""
        vectors = []
        for item_id in dict.fromkeys(ids):
            try:
                (item,) = self.store.get([item_id])
            except KeyError:
                raise ValueError(f'the index has no item {item_id!r}') from None
            vectors.append(_unit(np.asarray(item.embed, dtype=np.float32)))
        return vectors

    def _distinct(
        self, vector: np.ndarray, topk: int, where: Filter | None, offset: int
    ) -> list[StoreHit]:
        """A page of the hits whose duplicates have not come before, from as many as it takes."""
        groups: set[str] = set()
        kept: list[StoreHit] = []
        start = 0
        while len(kept) < offset + topk:
            number = offset + topk - len(kept) + SPARE
            page = self.store.search(vector, number, where, start)
            for hit in page:
                group = hit.attributes.get('duplicate_of') or hit.id
                if group not in groups:
                    groups.add(group)
                    kept.append(hit)
            if len(page) < number:
                break
            start += number
        return kept[offset : offset + topk]


def filter_of(where: Any) -> Filter | None:
    """The filter that a user gives.

    Args:
        where (Filter | str | Sequence[str] | None): Conditions.

    Returns:
        Filter | None: None for no condition.

    Raises:
        ValueError: If a condition is wrong, or it is a function.
    """
    if where is None or isinstance(where, Filter):
        return where
    if callable(where):
        raise ValueError(
            "an index takes conditions such as 'country=spain', and no function; a function can "
            'only choose among the images of a gallery, for one text or image'
        )
    return Filter.parse(where)


def _record(hit: StoreHit, rank: int) -> dict[str, Any]:
    shown = {key: value for key, value in hit.attributes.items() if key not in INTERNAL}
    return dict(shown, rank=rank, score=hit.score, id=hit.id)


def _mean(vectors: Sequence[np.ndarray]) -> np.ndarray | float:
    return np.mean(vectors, axis=0) if len(vectors) else 0.0


def _unit(vector: Any) -> np.ndarray:
    vector = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(vector))
    if not length > 1e-6:
        raise ValueError('the terms of the query cancel out: take one of them away')
    return vector / length


def _check_whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f'{name} must be a whole number of at least {least}, got {value!r}')
