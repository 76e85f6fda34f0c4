"""What a metric reports of the ranks of its queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

from torch import Tensor

from urbancross_mm.functional import average_precision, ranking
from urbancross_mm.functional.ranking import PositiveRanks

EXTRA = ('MRR', 'mAP')
# Embeddings of both sides, and the rows of each positive pair.
Gallery = tuple[Tensor, Tensor, Tensor, Tensor]


class RecallValues:
    """Recalls, their mean, and other numbers of both directions between two sides.

    Args:
        topk (int | Sequence[int]): Lengths of the list.
        ties (str): See :func:`urbancross_mm.functional.ranking.recall_at_k`.
        extra (str | Sequence[str]): Of ``'MRR'`` and ``'mAP'``.

    Raises:
        ValueError: If one of them is unknown.
    """

    def __init__(self, topk: int | Sequence[int], ties: str, extra: str | Sequence[str]) -> None:
        self.topk = tuple(topk) if isinstance(topk, Iterable) else (topk,)
        if not self.topk or not all(map(_is_length, self.topk)):
            raise ValueError(f'topk must be numbers from 1, got {topk!r}')
        listed = isinstance(extra, Iterable) and not isinstance(extra, str)
        self.extra = tuple(extra) if listed else (extra,)
        if not set(self.extra) <= set(EXTRA):
            raise ValueError(f'extra must be of {EXTRA}, got {extra!r}')
        if ties not in ranking.TIES:
            raise ValueError(f'ties must be one of {ranking.TIES}, got {ties!r}')
        self.ties = ties

    def of_gallery(self, gallery: Gallery, *names: str) -> dict[str, float]:
        """Search in both directions.

        Args:
            gallery (Gallery): Both sides. What has no pair is searched, and is no query.
            names (str): Of both directions.

        Returns:
            dict[str, float]: ``<name>_R@<k>``, ``mR`` and so on.
        """
        both_ranks = ranking.bidirectional_ranks(*gallery, distractors=True)
        metrics = self.of_ranks(dict(zip(names, both_ranks)))
        if 'mAP' in self.extra:
            both = average_precision.average_precisions(*gallery, ties=self.ties)
            metrics.update(
                {f'{name}_mAP': 100 * float(values.mean()) for name, values in zip(names, both)}
            )
        return metrics

    def of_ranks(self, sides: Mapping[str, PositiveRanks]) -> dict[str, float]:
        """Numbers of known ranks; no ``mAP``, which needs all positives.

        Args:
            sides (Mapping): The ranks of each direction, by its name.

        Returns:
            dict[str, float]: As in :meth:`of_gallery`.
        """
        metrics = {
            f'{side}_R@{k}': ranking.recall_at_k(ranks, k, self.ties)
            for side, ranks in sides.items()
            for k in self.topk
        }
        metrics['mR'] = mean_recall(metrics)
        for side, ranks in sides.items():
            values = ranking.rank_values(ranks, self.ties)
            metrics[f'{side}_MedR'] = float(values.quantile(0.5))
            metrics[f'{side}_MeanR'] = float(values.mean())
            if 'MRR' in self.extra:
                means = average_precision.reciprocal_ranks(ranks, self.ties)
                metrics[f'{side}_MRR'] = 100 * float(means.mean())
        return metrics


def mean_recall(*groups: Mapping[str, float]) -> float:
    """Mean of all recalls.

    Args:
        groups (Mapping): Metrics; only those with ``_R@`` in their name count.

    Returns:
        float: In percent.
    """
    recalls = [value for group in groups for name, value in group.items() if '_R@' in name]
    return sum(recalls) / len(recalls)


def merge_sides(
    metrics: Mapping[str, float], sides: tuple[str, str], name: str
) -> dict[str, float]:
    """Average two directions.

    Args:
        metrics (Mapping): Of both.
        sides (tuple[str, str]): Their names.
        name (str): Of the average.

    Returns:
        dict[str, float]: One value for each two of a direction; ``mR`` stays what it is.
    """
    first, second = sides
    merged = {
        f'{name}_{key.removeprefix(f"{first}_")}': (
            value + metrics[f'{second}_{key.removeprefix(f"{first}_")}']
        )
        / 2
        for key, value in metrics.items()
        if key.startswith(f'{first}_')
    }
    return dict(merged, mR=metrics['mR'])


def _is_length(k: object) -> bool:
    return isinstance(k, Integral) and not isinstance(k, bool) and int(k) > 0
