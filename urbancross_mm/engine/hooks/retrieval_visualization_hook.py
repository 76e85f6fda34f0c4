"""Show what a few queries find, at each validation and after a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from urbancross_mm.registry import HOOKS
from urbancross_mm.structures import SearchHit


@HOOKS.register_module()
class RetrievalVisualizationHook(Hook):
    """Draw result grids: a query above the images it finds, relevant ones framed in green.

    The grids go to the visualizer's backends (``vis_data/vis_image``, TensorBoard, ...) at each
    validation, and to ``show_dir`` after a test. With several ranks, rank 0 searches its own share
    of the images.

    Args:
        num_queries (int): Grids per validation, spread evenly over the captions. Defaults to 3.
        topk (int): Images per grid. Defaults to 5.
        show_dir (str, optional): Folder for the grids of a test; None draws none.
            ``tools/test.py --show-dir`` sets it. Defaults to None.
        num_test_queries (int): Grids per test. Defaults to 20.
    """

    def __init__(
        self,
        num_queries: int = 3,
        topk: int = 5,
        show_dir: str | None = None,
        num_test_queries: int = 20,
    ) -> None:
        numbers = isinstance(num_queries, int) and isinstance(topk, int)
        if not numbers or num_queries < 0 or topk < 1:
            raise ValueError(
                f'num_queries must be >= 0 and topk >= 1, but got {num_queries!r} and {topk!r}'
            )
        self.num_queries = num_queries
        self.topk = topk
        self.show_dir = show_dir
        self.num_test_queries = num_test_queries
        self._samples: list[Any] = []
        self._score: Any = None  # of a model that scores pairs

    def before_val_epoch(self, runner: Runner) -> None:
        """Forget the last validation."""
        self._samples = []

    def before_test_epoch(self, runner: Runner) -> None:
        """Forget the last test."""
        self._samples = []

    @master_only
    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Keep a batch's embeddings."""
        if self.num_queries:
            self._keep(outputs)

    @master_only
    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Keep a batch's embeddings."""
        if self.show_dir:
            self._keep(outputs)

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Hand a few grids to the visualizer's backends."""
        for number, (query, results) in enumerate(self._rank(self.num_queries)):
            grid = runner.visualizer.draw_grid(query, results)
            # No slash: the local backend would drop an image whose folder does not exist.
            runner.visualizer.add_image(f'retrieval_query_{number}', grid, step=runner.epoch)
        self._samples = []

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the grids of a test to ``show_dir``."""
        if not self.show_dir:
            return
        folder = Path(self.show_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for number, (query, results) in enumerate(self._rank(self.num_test_queries)):
            grid = runner.visualizer.draw_grid(query, results)
            Image.fromarray(grid).save(folder / f'query_{number:03d}.png')
        runner.logger.info(f'result grids are in {folder}')
        self._samples = []

    def _keep(self, outputs: Sequence[Any] | None) -> None:
        for sample in outputs or ():
            if not sample.get('for_retrieval', True) or not _has_pair(sample):
                continue
            if '.tar/' in sample.img_path:  # in a shard, and no file that could be drawn again
                continue
            self._score = sample.get('score_pairs')
            self._samples.append(
                (
                    sample.img_path,
                    sample.caption_text_ids,
                    _words(sample),
                    sample.text_ids,
                    sample.image_embeds.float().cpu(),
                    sample.text_embeds.float().cpu(),
                )
            )

    def _rank(self, num_queries: int) -> list[tuple[str, list[SearchHit]]]:
        if not self._samples or not num_queries:
            return []
        paths, text_ids, named, encoded_ids, image_embeds, text_embeds = zip(*self._samples)
        words = {text_id: text for pairs in named for text_id, text in pairs.items()}
        queries = [i for ids in encoded_ids for i in ids]
        chosen = torch.linspace(0, len(queries) - 1, min(num_queries, len(queries))).long().unique()
        texts, images = torch.cat(text_embeds)[chosen], torch.stack(image_embeds)
        scores = texts @ images.T if self._score is None else self._score(images, texts).T
        values, rows = scores.topk(min(self.topk, len(paths)), dim=1)
        return [
            (
                words[queries[q]],
                [
                    SearchHit(paths[p], v, queries[q] in text_ids[p])
                    for v, p in zip(row_values, row_images)
                ],
            )
            for q, row_values, row_images in zip(chosen.tolist(), values.tolist(), rows.tolist())
        ]


def _has_pair(sample: Any) -> bool:
    """Whether it has what a search needs: a sample of one modality has not."""
    return 'image_embeds' in sample and 'text_embeds' in sample


def _words(sample: Any) -> dict[int, str]:
    """The texts that a sample names, by id: its captions, and an unpaired one."""
    return {
        **dict(zip(sample.caption_text_ids, sample.captions)),
        **dict(zip(sample.text_ids, sample.get('texts', ()))),
    }
