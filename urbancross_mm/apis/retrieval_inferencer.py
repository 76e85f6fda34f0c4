"""Search a folder of images: encode once, search many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.inference.config import load_config
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.gallery_builder import build_gallery
from urbancross_mm.inference.gallery_search import GallerySearch
from urbancross_mm.inference.hit_images import hit_image
from urbancross_mm.inference.pair_scores import check_comparable
from urbancross_mm.inference.queries import check_templates, read_queries
from urbancross_mm.inference.query_bank import QueryBank
from urbancross_mm.inference.search_query import Query, single_query
from urbancross_mm.inference.segmentation import Legend, class_shares, decode_head_of, read_legend
from urbancross_mm.inference.store_search import StoreSearch, Where
from urbancross_mm.inference.stores import BaseStore, open_store
from urbancross_mm.structures import Gallery


class RetrievalInferencer:
    """Search images by text or by image with any retriever of this project.

    ``build_index`` encodes a folder once into a :class:`Gallery`; ``search`` answers any number of
    queries from it. A gallery carries the fingerprint of weights and pipeline. An inferencer with
    another fingerprint refuses it, and so does any inferencer once an image has changed.

    Args:
        config (str | Path | Config): A config.
        weights (str | Path, optional): Its checkpoint, or a work directory; None keeps the weights
            that the config builds (zero-shot). Defaults to None.
        device (str, optional): Defaults to the GPU if there is one.
        batch_size (int): Images per forward pass. Defaults to 32.
        num_workers (int): Processes that read images. Defaults to 0.
        index (dict): The search index. Defaults to exact search in torch.
        rerank (Mapping, optional): A correction of the scores of texts, such as
            ``dict(type='inverted_softmax')``; see
            :func:`urbancross_mm.functional.reranking.build_reranker`. Defaults to None.
        query_bank (str | Path | Sequence[str], optional): What ``rerank`` compares a query with:
            texts, a file of them, or an annotation file, such as that of the training. Encoded
            once. Defaults to None.
        templates (Sequence[str]): Prompts with ``{}`` for the text, such as ``'an aerial image of
            {}'``; a text is the mean of them. Defaults to the text alone.

    Examples:
        >>> inferencer = RetrievalInferencer('configs/urbancross_finland.py', 'best.pth')
        >>> inferencer.build_index('tiles/')
        >>> inferencer.search('a harbor with many boats', topk=5)

    Raises:
        FileNotFoundError: If the config or the weights do not exist.
        ValueError: If the weights belong to another model, or one of ``rerank`` and ``query_bank``
            is missing, or a template lacks ``{}``.
    """

    def __init__(
        self,
        config: str | Path | Config,
        weights: str | Path | None = None,
        device: str | None = None,
        batch_size: int = 32,
        num_workers: int = 0,
        index: Mapping[str, Any] | None = None,
        rerank: Mapping[str, Any] | None = None,
        query_bank: str | Path | Sequence[str] | None = None,
        templates: Sequence[str] = ('{}',),
    ) -> None:
        if (rerank is None) != (query_bank is None):
            raise ValueError(
                'rerank compares a query with a bank of others, such as the captions of the '
                f'training: give both or none, got rerank={rerank} and '
                f'query_bank={query_bank!r:.80}'
            )
        texts = [] if query_bank is None else read_queries(query_bank)
        self._cfg = config if isinstance(config, Config) else load_config(config)
        self.embedder = Embedder.from_config(
            self._cfg, weights, device=device, batch_size=batch_size, num_workers=num_workers
        )
        self.index_cfg = dict(index or dict(type='TorchIndex'))
        self.templates = check_templates(templates)
        self._search: GallerySearch | StoreSearch | None = None
        self._legend: Legend | None = None
        self._bank: QueryBank | None = None
        if rerank is not None:
            self._bank = QueryBank(self.encode_texts(texts), rerank)
            print_log(f'texts are re-ranked ({dict(rerank)}) by {len(texts)} queries', 'current')

    @property
    def fingerprint(self) -> str:
        """str: Hash of the weights, the model's settings and the test pipeline."""
        return self.embedder.fingerprint

    @property
    def legend(self) -> Legend:
        """Legend: Names and colors of the classes that the model segments."""
        if self._legend is None:
            self._legend = read_legend(self.embedder.model, self.embedder.checkpoint, self._cfg)
        return self._legend

    def build_index(
        self,
        images: str | Path | Sequence[str | Path],
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        skip_bad: bool = False,
        progress: bool = True,
        gallery: Gallery | None = None,
    ) -> Gallery:
        """Encode images, each once, and make them searchable.

        Args:
            images (str | Path | Sequence): A folder, searched with its subfolders, or paths.
            metadata (Mapping, optional): What a result shows besides its score, such as ``lon``,
                ``lat`` and ``domain``. Its keys are paths below the folder (for listed paths: the
                paths as listed), or a bare file name that only one image has. Defaults to None:
                what the gallery has.
            skip_bad (bool): Leave out images that cannot be read, and print how many, instead of
                raising. Defaults to False.
            progress (bool): Show a progress bar. Defaults to True.
            gallery (Gallery, optional): An earlier gallery of these images, even if their folder
                was moved. Only new and changed images are encoded. Defaults to None.

        Returns:
            Gallery: Also kept for ``search``; ``gallery.save(path)`` writes it.

        Raises:
            FileNotFoundError: If the folder does not exist or holds no image.
            ValueError: If an image cannot be read and ``skip_bad`` is off, a key of the metadata
                fits no image or several, or the gallery was built with other weights or another
                pipeline.
        """
        return self._search_in(
            build_gallery(self.embedder, images, metadata, skip_bad, progress, gallery)
        )

    def use_gallery(self, gallery: Gallery) -> None:
        """Search a gallery that was built earlier.

        Args:
            gallery (Gallery): From ``build_index`` or ``Gallery.load``. Its image files may be
                missing.

        Raises:
            ValueError: If it was built with other weights or another pipeline, or one of its
                image files has changed.
        """
        gallery.check_fingerprint(self.fingerprint)
        changed = gallery.changed_files()
        if changed:
            raise ValueError(
                f'stale gallery: {len(changed)} of its {len(gallery)} images have '
                f'changed since, such as {changed[0]}; build_index(..., gallery=...) '
                'encodes these again'
            )
        self._search_in(gallery)

    def _search_in(self, gallery: Gallery) -> Gallery:
        self._search = GallerySearch(
            self.embedder, gallery, self.index_cfg, self._bank, self.templates
        )
        return gallery

    def open_index(self, location: str) -> BaseStore:
        """Search an index that ``tools/build_index.py`` has built, instead of a gallery.

        Args:
            location (str): A folder, a LanceDB folder or the URI of a database.

        Returns:
            BaseStore: The index, for reading.

        Raises:
            ValueError: If it is no index, another model or pipeline made it, or this inferencer
                re-ranks.
            ConnectionError: If a database does not answer.
        """
        if self._bank is not None:
            raise ValueError(
                f'the index {location} cannot be re-ranked: rerank looks at a whole gallery'
            )
        store = open_store(location, self.fingerprint, read_only=True)
        self._search = StoreSearch(self.embedder, store, self.templates)
        return store

    @property
    def gallery(self) -> Gallery | None:
        """Gallery | None: What is searched, unless it is an index."""
        return self._search.gallery if isinstance(self._search, GallerySearch) else None

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Encode texts.

        Args:
            texts (Sequence[str]): The texts.

        Shape:
            - output: ``(len(texts), D)``, unit length, on the CPU.

        Returns:
            Tensor: One row per text.

        Raises:
            ValueError: If the model scores pairs.
        """
        check_comparable(self.embedder.model, 'encode_texts')
        return self.embedder.encode_texts(texts)

    def encode_images(self, images: Sequence[str | Path]) -> Tensor:
        """Encode images.

        Args:
            images (Sequence[str | Path]): Their paths.

        Shape:
            - output: ``(len(images), D)``, on the CPU.

        Returns:
            Tensor: One row per image.

        Raises:
            ValueError: If the model scores pairs.
        """
        check_comparable(self.embedder.model, 'encode_images')
        return self.embedder.encode_images(images)

    def search(
        self,
        text: str | Query | None = None,
        image: str | Path | None = None,
        audio: str | Path | None = None,
        topk: int = 10,
        where: Where | Callable[[Mapping[str, Any]], bool] = None,
        with_masks: bool = False,
        offset: int = 0,
        hide_duplicates: bool = False,
    ) -> list[dict[str, Any]]:
        """Find the images closest to a query.

        Args:
            text (str | Query, optional): A text query, or a
                :class:`~urbancross_mm.inference.search_query.Query` of several texts, images,
                marks and minus terms. Defaults to None.
            image (str | Path, optional): An image query. Defaults to None.
            audio (str | Path, optional): A spoken query, a WAV, FLAC or OGG file; the model needs
                an audio encoder. Give exactly one of the three. Defaults to None.
            topk (int): Number of results at most. Defaults to 10.
            where (Filter | str | Sequence[str] | Callable, optional): Which images may come back:
                conditions such as ``'country=spain'``, or, of a gallery only, a function of the
                metadata. Defaults to None: all.
            with_masks (bool): Segment the images that are found, with the decode head of the
                model. Defaults to False.
            offset (int): Results to skip. Defaults to 0.
            hide_duplicates (bool): Show one of each group of near-duplicates, as far as the index
                marks them. Defaults to False.

        Returns:
            list[dict]: Best first: ``rank`` (from 1), ``score``, ``img_path`` and the metadata of
            the image; for a text that is re-ranked ``rerank_score``, which they are ordered by,
            while ``score`` stays the similarity; with masks also ``class_map`` (uint8, ``(H, W)``
            of the image) and ``classes``, from names to shares of the image.

        Raises:
            FileNotFoundError: If an image that is to be segmented is gone.
            ValueError: If not exactly one query is given, the text is empty, there is nothing to
                search yet, a condition is wrong, or the model has no decode head for masks.
        """
        if self._search is None:
            raise ValueError('nothing to search: call build_index, use_gallery or open_index first')
        if with_masks:
            decode_head_of(self.embedder.model)
        query = text if isinstance(text, Query) else single_query(text, image, audio)
        hits = self._search.search(query, topk, where, offset, hide_duplicates)  # type: ignore[arg-type]
        if with_masks:
            maps = self.embedder.segment([hit_image(hit) for hit in hits])
            for hit, class_map in zip(hits, maps):
                hit.update(class_map=class_map, classes=class_shares(class_map, self.legend.names))
        return hits
