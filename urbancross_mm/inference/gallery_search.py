"""Searching a gallery: images in memory, with any index, model or correction of scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from urbancross_mm.functional import similarity
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.pair_scores import PairIndex
from urbancross_mm.inference.queries import encode_query
from urbancross_mm.inference.query_bank import QueryBank
from urbancross_mm.inference.search_query import Query
from urbancross_mm.inference.store_search import StoreSearch, Where, filter_of
from urbancross_mm.inference.stores import StoreItem, TorchStore
from urbancross_mm.registry import INDEXES
from urbancross_mm.structures import Gallery


class GallerySearch:
    """Answers queries from a gallery.

    A single text, image or recording goes to the index, which does what a store cannot: models
    that score pairs, a bank of queries that corrects the scores, conditions that are functions,
    other types of indexes. Everything else goes to a :class:`StoreSearch` in memory.

    Args:
        embedder (Embedder): The model.
        gallery (Gallery): Of this model.
        index_cfg (Mapping): The search index.
        bank (QueryBank, optional): Re-ranks what texts find. Defaults to None.
        templates (Sequence[str]): Prompts, see :class:`StoreSearch`. Defaults to the text alone.
    """

    def __init__(
        self,
        embedder: Embedder,
        gallery: Gallery,
        index_cfg: Mapping[str, Any],
        bank: QueryBank | None = None,
        templates: Sequence[str] = ('{}',),
    ) -> None:
        self.embedder, self.gallery, self.bank = embedder, gallery, bank
        self.templates = tuple(templates)
        self._index = INDEXES.build(dict(index_cfg))
        score_pairs = embedder.model.score_pairs
        if score_pairs is None:
            self._text_index = self._index
            self._index.add(gallery.embeds)
        else:
            self._text_index = PairIndex(lambda texts, images: score_pairs(images, texts).t())
            self._text_index.add(gallery.embeds)
            # An image is compared with images by the cosine all the same.
            self._index.add(similarity.normalize(gallery.embeds))
        if bank is not None:
            bank.prepare(gallery.embeds)

    def search(
        self,
        query: Query,
        topk: int = 10,
        where: Where | Callable[[Mapping[str, Any]], bool] = None,
        offset: int = 0,
        hide_duplicates: bool = False,
    ) -> list[dict[str, Any]]:
        """Find the images closest to a query.

        Args:
            query (Query): What is searched for.
            topk (int): Number of results at most. Defaults to 10.
            where (Filter | str | Sequence[str] | Callable, optional): Conditions, or a function
                of the metadata. Defaults to None: all images.
            offset (int): Results to skip. Defaults to 0.
            hide_duplicates (bool): See :meth:`StoreSearch.search`. Defaults to False.

        Returns:
            list[dict]: Best first: metadata, ``rank`` and ``score``, and ``rerank_score`` if a
            bank corrects the scores of texts.

        Raises:
            ValueError: If a condition is wrong, or the query is more than one text and the scores
                are corrected or the model scores pairs.
        """
        single = _single(query)
        conditions = where is not None and not callable(where)
        prompted = bool(query.texts) and self.templates != ('{}',)
        if single is not None and not (conditions or offset or hide_duplicates or prompted):
            return self._search_index(*single, topk, where)  # type: ignore[arg-type]
        if self.bank is not None:
            raise ValueError(
                'scores are re-ranked for one text at a time: search without rerank to add terms, '
                'conditions, an offset or templates'
            )
        return self._store_search.search(query, topk, filter_of(where), offset, hide_duplicates)

    def _search_index(
        self,
        text: str | None,
        image: str | Path | None,
        audio: str | Path | None,
        topk: int,
        where: Callable[[Mapping[str, Any]], bool] | None,
    ) -> list[dict[str, Any]]:
        query = encode_query(self.embedder, text, image, audio)
        records = self.gallery.metadata
        mask = None if where is None else torch.tensor([bool(where(r)) for r in records])
        more: list[dict[str, float]] = []
        if self.bank is not None and text is not None:
            scores, corrected, rows = self.bank.search(query, topk, mask)
            more = [dict(rerank_score=value) for value in corrected.tolist()]
        else:
            index = self._index if text is None else self._text_index
            scores, rows = (part[0] for part in index.search(query, topk, mask))
        hits = [
            dict(records[row], rank=rank, score=score)
            for rank, (score, row) in enumerate(zip(scores.tolist(), rows.tolist()), 1)
        ]
        for hit, values in zip(hits, more):
            hit.update(values)
        return hits

    @cached_property
    def _store_search(self) -> StoreSearch:
        """The same images as a store; an id that stands twice counts once."""
        gallery = self.gallery
        store = TorchStore(fingerprint=gallery.fingerprint)
        rows = {item_id: row for row, item_id in enumerate(gallery.ids)}
        embeds = similarity.normalize(gallery.embeds).numpy()
        store.add([StoreItem(key, embeds[row], gallery.metadata[row]) for key, row in rows.items()])
        return StoreSearch(self.embedder, store, self.templates)


def _single(query: Query) -> tuple[str | None, Any, str | Path | None] | None:
    """Text, image and recording of a query that is one of these and nothing else."""
    if query.likes or query.minus_texts or query.minus_images or query.dislikes:
        return None
    if len(query.texts) + len(query.images) + len(query.recordings) > 1:
        return None
    text = query.texts[0] if query.texts else None
    audio = query.recordings[0] if query.recordings else None
    return text, query.images[0] if query.images else None, audio
