"""Maps of embeddings: domains by color, modalities by marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from urbancross_mm.utils.optional import import_optional

METHODS = ('tsne', 'pca')
_COLORS = ('#1f77b4', '#d95f02', '#1b9e77', '#7570b3')
_MARKERS = ('o', '^', 's')

# What one panel shows: points (N, 2) by domain and modality.
Groups = Mapping[tuple[str, str], np.ndarray]


def project_2d(
    groups: Mapping[tuple[str, str], Tensor], method: str = 'tsne', seed: int = 0
) -> dict[tuple[str, str], np.ndarray]:
    """Project embeddings to two dimensions, all groups together.

    Args:
        groups (Mapping): Embeddings by domain and modality.
        method (str): ``'tsne'`` keeps neighbors together (needs scikit-learn), ``'pca'`` is
            linear. Defaults to 'tsne'.
        seed (int): Of either. Defaults to 0.

    Shape:
        - each group: ``(N, D)``; output: ``(N, 2)``.

    Returns:
        dict: The same keys.

    Raises:
        ImportError: If t-SNE is asked for and scikit-learn is not installed.
        ValueError: If the method is unknown, or there are fewer than four points.
    """
    if method not in METHODS:
        raise ValueError(f'method must be one of {METHODS}, got {method!r}')
    rows = torch.cat([embeds.float() for embeds in groups.values()])
    if len(rows) < 4:
        raise ValueError(f'a map needs at least four points, got {len(rows)}')
    points = _tsne(rows, seed) if method == 'tsne' else _pca(rows, seed)
    ends = np.cumsum([len(embeds) for embeds in groups.values()])
    return dict(zip(groups, np.split(points, ends[:-1])))


def draw_embedding_map(panels: Sequence[tuple[str, Groups]]) -> np.ndarray:
    """Draw panels side by side.

    Args:
        panels (Sequence): Title and points of each; a color stands for the same domain, and a
            marker for the same modality, in all of them.

    Shape:
        - each group of points: ``(N, 2)``; output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.

    Raises:
        ValueError: If there is no panel.
    """
    if not panels:
        raise ValueError('no panel to draw')
    figure = Figure(figsize=(5 * len(panels), 5.6), dpi=120, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    keys = list(dict.fromkeys(key for _, groups in panels for key in groups))
    looks = {key: _look(key, keys) for key in keys}
    for axis, (title, groups) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels):
        _draw_panel(axis, title, groups, looks)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=len(keys), markerscale=2)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_panel(
    axis: Axes, title: str, groups: Groups, looks: Mapping[tuple[str, str], tuple[str, str]]
) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
    for key, points in groups.items():
        color, marker = looks[key]
        axis.scatter(
            points[:, 0],
            points[:, 1],
            s=9,
            color=color,
            marker=marker,
            alpha=0.6,
            linewidths=0,
            label=' '.join(key),
        )


def _look(key: tuple[str, str], keys: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Color of the domain and marker of the modality."""
    domains, modalities = (list(dict.fromkeys(part)) for part in zip(*keys))
    return (
        _COLORS[domains.index(key[0]) % len(_COLORS)],
        _MARKERS[modalities.index(key[1]) % len(_MARKERS)],
    )


def _tsne(rows: Tensor, seed: int) -> np.ndarray:
    manifold = import_optional(
        'sklearn.manifold', 'a t-SNE map (--method pca needs nothing)', 'urbancross-mm[analysis]'
    )
    perplexity = min(30.0, (len(rows) - 1) / 3)
    return manifold.TSNE(2, init='pca', perplexity=perplexity, random_state=seed).fit_transform(
        rows.numpy()
    )


def _pca(rows: Tensor, seed: int) -> np.ndarray:
    centered = rows - rows.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, _, axes = torch.pca_lowrank(centered, q=min(6, *rows.shape), center=False)
    return (centered @ axes[:, :2]).numpy()
