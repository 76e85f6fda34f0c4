"""A model with its index, as the routes ask it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from urbancross_mm.inference.queries import text_warnings
from urbancross_mm.inference.search_query import Query
from urbancross_mm.inference.store_search import StoreSearch
from urbancross_mm.inference.stores import StoreItem
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.live_overview import LiveOverview
from urbancross_mm.serving.overview import Overview
from urbancross_mm.serving.schemas import SearchRequest
from urbancross_mm.serving.worker_pool import Stop
from urbancross_mm.structures.filters import Filter
from urbancross_mm.utils.error_sentence import sentence_of

SECONDS_BETWEEN_REFRESHES = 1.0


@dataclass(frozen=True)
class HitPage:
    """A page of hits.

    Attributes:
        hits (list[dict]): As of :class:`StoreSearch`.
        more (bool): Whether there is a next page.
        warnings (list[str]): What the model does not read of the texts, one sentence each.
    """

    hits: list[dict[str, Any]]
    more: bool
    warnings: list[str]


@dataclass
class ServedModel:
    """A model and the index that it is searched in.

    What other processes write to the index is seen a second later.

    Attributes:
        name (str): What clients call it.
        search (StoreSearch): Encodes and searches.
    """

    name: str
    search: StoreSearch
    _encoding: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _refreshed: float = field(default=-SECONDS_BETWEEN_REFRESHES, repr=False)
    _overview: LiveOverview = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._overview = LiveOverview(self.search.store)

    @property
    def overview(self) -> Overview:
        """Overview: A summary of the index, a while behind it.

        Raises:
            RefusedError: If the index is damaged (400) or cannot be reached (503).
        """
        self.refresh()
        with self._refusing():
            return self._overview.get()

    def find(
        self,
        request: SearchRequest,
        image_of: Callable[[str], np.ndarray],
        stop: Stop,
    ) -> HitPage:
        """Answer a request.

        Args:
            request (SearchRequest): What to search for, and where.
            image_of (Callable): An upload by id.
            stop (Stop): Checked between the steps.

        Returns:
            HitPage: The hits.

        Raises:
            RefusedError: If the request cannot be answered (400, 404, 410 or 503).
            StoppedError: If nobody waits any more.
        """
        images = [image_of(name) for name in request.uploads]
        self.refresh()
        with self._refusing():
            where = Filter.parse(request.where) if request.where else None
            query = Query(
                texts=request.texts,
                images=images,
                likes=request.likes,
                minus_texts=request.minus,
                dislikes=request.dislikes,
            )
            vector = self._vector(query, stop)
            stop.check()
            hits = self.search.search_vector(
                vector, request.topk + 1, where, request.offset, request.hide_duplicates
            )
        stop.check()
        warnings = self.warnings([*request.texts, *request.minus])
        return HitPage(hits[: request.topk], len(hits) > request.topk, warnings)

    def warnings(self, texts: Sequence[str]) -> list[str]:
        """What the model does not read of some texts.

        Args:
            texts (Sequence[str]): Of a query.

        Returns:
            list[str]: Sentences, each once.
        """
        tokenizer = self.search.embedder.tokenizer
        with self._encoding:
            warnings = [warning for text in texts for warning in text_warnings(tokenizer, text)]
        return list(dict.fromkeys(warnings))

    def encode(self, texts: Sequence[str], images: Sequence[np.ndarray], stop: Stop) -> np.ndarray:
        """Encode a query.

        Args:
            texts (Sequence[str]): Averaged with the images.
            images (Sequence[np.ndarray]): uint8 RGB.
            stop (Stop): Checked before the work begins.

        Shape:
            - output: ``(D,)``.

        Returns:
            np.ndarray: Unit vector.

        Raises:
            RefusedError: If it cannot be encoded (400).
        """
        with self._refusing():
            return self._vector(Query(texts=texts, images=images), stop)

    def _vector(self, query: Query, stop: Stop) -> np.ndarray:
        # A tokenizer serves one thread at a time.
        with self._encoding:
            stop.check()
            return self.search.vector(query)

    def item(self, item_id: str) -> StoreItem:
        """An item by id.

        Args:
            item_id (str): Its id.

        Returns:
            StoreItem: The item.

        Raises:
            RefusedError: If the index has no such item (404), or cannot be reached (503).
        """
        self.refresh()
        try:
            with self._refusing():
                return self.search.store.get([item_id])[0]
        except KeyError:
            raise RefusedError(404, f'the index has no item {item_id[:100]!r}') from None

    def count(self) -> int:
        """Number of items.

        Returns:
            int: As of now.

        Raises:
            RefusedError: If the index cannot be reached (503).
        """
        self.refresh()
        with self._refusing():
            return self.search.store.count()

    def refresh(self) -> None:
        """See what other processes have written to the index, unless this was done just now.

        Raises:
            RefusedError: If it is gone, damaged or of another model, or cannot be reached (503).
        """
        if time.monotonic() - self._refreshed < SECONDS_BETWEEN_REFRESHES:
            return
        try:
            self.search.store.refresh()
        except (ValueError, ConnectionError) as error:
            raise RefusedError(503, sentence_of(error)) from error
        self._refreshed = time.monotonic()

    @staticmethod
    @contextlib.contextmanager
    def _refusing() -> Iterator[None]:
        """What the model or the store refuses, as a reply."""
        try:
            yield
        except ValueError as error:
            raise RefusedError(400, sentence_of(error)) from error
        except ConnectionError as error:
            raise RefusedError(503, sentence_of(error)) from error
