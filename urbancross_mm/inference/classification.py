"""Scene classes without training: from their names, from a few examples, or from both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import inner_product, normalize
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.pair_scores import check_comparable
from urbancross_mm.inference.queries import encode_prompts
from urbancross_mm.utils.image_files import list_image_files
from urbancross_mm.utils.text_files import read_lines


class Prediction(NamedTuple):
    """The class of N images.

    Attributes:
        classes: Their numbers, ``(N,)`` long.
        scores: Cosines with the class, ``(N,)``.
    """

    classes: Tensor
    scores: Tensor


@dataclass(frozen=True)
class ClassReport:
    """How well labels are met, in percent.

    Attributes:
        accuracy (float): Images with the right class.
        mean_f1 (float): F1, averaged over the classes that have images.
        images (int): With a label.
        table (dict[str, tuple]): Images, precision, recall and F1 of each class.
    """

    accuracy: float
    mean_f1: float
    images: int
    table: Mapping[str, tuple[int, float, float, float]]

    def __str__(self) -> str:
        width = max(len('class'), *map(len, self.table))
        lines = [f'{"class":{width}}  images  precision  recall     F1']
        for name, (count, *values) in self.table.items():
            precision, recall, f1 = values
            lines.append(f'{name:{width}}  {count:6d}  {precision:9.2f}  {recall:6.2f}  {f1:5.2f}')
        lines.append(
            f'accuracy {self.accuracy:.2f}, mean F1 {self.mean_f1:.2f}, {self.images} images'
        )
        return '\n'.join(lines)


class SceneClassifier:
    """Gives every image the class whose vector is closest to its own.

    Args:
        names (Sequence[str]): Of the C classes.
        embeds (Tensor): Their vectors, see :func:`text_vectors` and :func:`example_vectors`.

    Shape:
        - embeds: ``(C, D)``.

    Raises:
        ValueError: If there are fewer than two classes, or a name stands twice.

    Examples:
        >>> classes = dict(harbor='a harbor with boats', forest='a forest')
        >>> embeds = text_vectors(embedder, list(classes.values()), ['an aerial image of {}'])
        >>> SceneClassifier(list(classes), embeds).predict(embedder.encode_images(paths)).classes
    """

    def __init__(self, names: Sequence[str], embeds: Tensor) -> None:
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f'give two or more distinct classes, got {list(names)!r:.200}')
        if embeds.dim() != 2 or len(embeds) != len(names):
            raise ValueError(f'{len(names)} classes have vectors of shape {tuple(embeds.shape)}')
        self.names = list(names)
        self.embeds = normalize(embeds)
        self._by_key = {key_of(name): number for number, name in enumerate(self.names)}

    def predict(self, embeds: Tensor) -> Prediction:
        """Classify images.

        Args:
            embeds (Tensor): Their embeddings.

        Shape:
            - embeds: ``(N, D)``.

        Returns:
            Prediction: Of equal cosines, the first class.
        """
        scores, classes = inner_product(normalize(embeds), self.embeds).max(dim=1)
        return Prediction(classes, scores)

    def number_of(self, label: str) -> int | None:
        """The class that a label or the name of a folder means.

        Args:
            label (str): Case, blanks and signs do not matter: ``denseresidential`` is the class
                ``dense residential``.

        Returns:
            int | None: Its number; None if it is another class.
        """
        return self._by_key.get(key_of(label))

    def report(self, predicted: Sequence[int], labels: Sequence[int]) -> ClassReport:
        """Compare classes with labels.

        Args:
            predicted (Sequence[int]): Numbers of classes.
            labels (Sequence[int]): The same, as they should be.

        Returns:
            ClassReport: Precision, recall and F1 are those of mmpretrain's ``SingleLabelMetric``.

        Raises:
            ValueError: If there is no label.
        """
        from mmpretrain.evaluation import SingleLabelMetric

        if not len(labels):
            raise ValueError('no image has a label that is one of the classes')
        precision, recall, f1, support = SingleLabelMetric.calculate(
            torch.tensor(predicted), torch.tensor(labels), average=None, num_classes=len(self.names)
        )
        rows = zip(support.int().tolist(), precision.tolist(), recall.tolist(), f1.tolist())
        table = {name: row for name, row in zip(self.names, rows) if row[0]}
        hits = sum(a == b for a, b in zip(predicted, labels))
        return ClassReport(
            100 * hits / len(labels),
            sum(row[3] for row in table.values()) / len(table),
            len(labels),
            table,
        )


def text_vectors(embedder: Embedder, texts: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Vectors of classes by what they are called.

    Args:
        embedder (Embedder): The model.
        texts (Sequence[str]): One for each of C classes, such as ``'a harbor'``.
        templates (Sequence[str]): Prompts with ``{}`` for the text, averaged.

    Shape:
        - output: ``(C, D)``, unit length.

    Returns:
        Tensor: One row per class.

    Raises:
        ValueError: If the model scores pairs, or a text is empty.
    """
    check_comparable(embedder.model, 'classification')
    return torch.stack([encode_prompts(embedder, text, templates) for text in texts])


def example_vectors(embedder: Embedder, examples: Mapping[str, Sequence[str]]) -> Tensor:
    """Vectors of classes by examples: the mean of their images.

    Args:
        embedder (Embedder): The model.
        examples (Mapping): Paths of images by class.

    Shape:
        - output: ``(C, D)``, unit length.

    Returns:
        Tensor: One row per class.

    Raises:
        ValueError: If the model scores pairs, a class has no example, or one cannot be read.
    """
    check_comparable(embedder.model, 'classification')
    rows = []
    for name, paths in examples.items():
        if not paths:
            raise ValueError(f'the class {name!r} has no example')
        rows.append(normalize(normalize(embedder.encode_images(paths)).mean(dim=0)))
    return torch.stack(rows)


def find_examples(folder: str | Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Images of each class in a folder of folders.

    Args:
        folder (str | Path): With one folder per class.
        names (Sequence[str]): The classes.

    Returns:
        dict[str, list[str]]: Paths by class.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a class has no folder with images.
    """
    listing = list_image_files(folder)
    by_key: dict[str, list[str]] = {}
    for name, path in zip(listing.names, listing.paths):
        by_key.setdefault(key_of(name.partition('/')[0]), []).append(path)
    missing = [name for name in names if key_of(name) not in by_key]
    if missing:
        raise ValueError(f'{folder} has no folder of images for {len(missing)} classes: {missing}')
    return {name: by_key[key_of(name)] for name in names}


def read_classes(given: Sequence[str]) -> dict[str, str]:
    """Read classes and what they are called.

    Args:
        given (Sequence[str]): Names, or one file with a name per line. ``NAME=TEXT`` gives the text
            that stands for a name; by default it is the name itself, with blanks for ``_`` and
            ``-``.

    Returns:
        dict[str, str]: Texts by name.

    Raises:
        ValueError: If there are fewer than two, or a name stands twice.
    """
    lines = list(given)
    if len(lines) == 1 and Path(lines[0]).is_file():
        lines = [line for line in read_lines(lines[0]) if line and not line.startswith('#')]
    classes: dict[str, str] = {}
    for line in lines:
        name, _, text = (part.strip() for part in line.partition('='))
        if name in classes or not name:
            raise ValueError(f'the class {name!r} stands twice, or has no name')
        classes[name] = text or name.replace('_', ' ').replace('-', ' ')
    if len(classes) < 2:
        raise ValueError(f'give two or more classes, or a file of them; got {list(given)}')
    return classes


def key_of(name: str) -> str:
    """What a name is compared by: its letters and digits."""
    return ''.join(sign for sign in name.casefold() if sign.isalnum())
