"""What writes captions, and the one that needs no weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from urbancross_mm.curation.captions.phrases import (
    NOUNS,
    check_template,
    enumeration,
    noun_phrases,
    with_article,
    words,
)
from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Outcome, digest
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.ids import stable_id

NOTHING_KNOWN = 'no tags and no label to write a caption from'


class BaseCaptioner(ABC):
    """Writes captions of images.

    Attributes:
        needs_pixels (ClassVar[bool]): Whether it looks at the image itself.
        batched (ClassVar[bool]): Whether a model sees the images of a batch together.
        libraries (ClassVar[tuple[str, ...]]): Distributions whose versions stand in the records.
        reads (tuple[str, ...]): Fields of an image that its captions depend on.
    """

    needs_pixels: ClassVar[bool] = False
    batched: ClassVar[bool] = False
    libraries: ClassVar[tuple[str, ...]] = ()
    reads: tuple[str, ...] = ('focus', 'around', 'label')

    @property
    def batch_matters(self) -> bool:
        """bool: Whether a caption depends on the other images of its batch."""
        return False

    def check(self) -> None:  # noqa: B027
        """Look, before anything runs, for what will be needed.

        Raises:
            FileNotFoundError: If the model is neither on disk nor to be downloaded.
            ValueError: If an option does not fit.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What captions depend on besides the images; short, plain JSON."""

    def begin(self, device: str) -> None:  # noqa: B027
        """Load what is needed to work.

        Args:
            device (str): Of the model.
        """

    @abstractmethod
    def caption(self, images: Sequence[ImageRecord], pixels: Sequence[np.ndarray]) -> list[Outcome]:
        """Describe a batch.

        Args:
            images (Sequence[ImageRecord]): What is known of them.
            pixels (Sequence[np.ndarray]): uint8 RGB, ``(H, W, 3)``; empty unless
                :attr:`needs_pixels`.

        Returns:
            list[Outcome]: One an image, with the field ``captions``.
        """


@CURATION.register_module()
class TemplateCaptioner(BaseCaptioner):
    """One sentence from the tags of an image, or from its label; no model and no pixels.

    Which template an image gets depends on its name alone, so captions vary and never change.

    Args:
        templates (Sequence[str]): With ``{focus}`` and ``{around}``. Defaults to four.
        focus_templates (Sequence[str]): With ``{focus}``, for images without surroundings; for
            those with surroundings alone, these take their place. Defaults to four.
        label_templates (Sequence[str]): With ``{label}``, for images without tags; the article
            comes with it, ``an airport``. Defaults to four.
        nouns (Mapping[str, str], optional): Tag to a name, or key of a tag to a template with
            ``{value}``, beside those of :data:`NOUNS`. Defaults to None.
        max_phrases (int): At most so many tags of the focus, and of the surroundings.
            Defaults to 5.

    Raises:
        ValueError: If a template holds another variable, or there is none.
    """

    FULL = (
        'A satellite image of {focus}, surrounded by {around}.',
        'The aerial view shows {focus}, with {around} nearby.',
        'From above one sees {focus} close to {around}.',
        'An overhead image of {focus} in the neighborhood of {around}.',
    )
    FOCUS = (
        'A satellite image of {focus}.',
        'The aerial view shows {focus}.',
        'From above one sees {focus}.',
        'An overhead image of {focus}.',
    )
    LABEL = (
        'A satellite image of {label} scene.',
        'The aerial view shows {label} scene.',
        'From above one sees {label} scene.',
        'An overhead image of {label} scene.',
    )

    def __init__(
        self,
        templates: Sequence[str] = FULL,
        focus_templates: Sequence[str] = FOCUS,
        label_templates: Sequence[str] = LABEL,
        nouns: Mapping[str, str] | None = None,
        max_phrases: int = 5,
    ) -> None:
        for what, given, names in (
            ('templates', templates, ('focus', 'around')),
            ('focus_templates', focus_templates, ('focus',)),
            ('label_templates', label_templates, ('label',)),
        ):
            if isinstance(given, str) or not given:
                raise ValueError(f'{what} must be a list of at least one, got {given!r}')
            for template in given:
                check_template(template, names, what)
        if max_phrases < 1:
            raise ValueError(f'max_phrases must be at least 1, got {max_phrases}')
        self.templates = tuple(templates)
        self.focus_templates = tuple(focus_templates)
        self.label_templates = tuple(label_templates)
        self.nouns = {**NOUNS, **(nouns or {})}
        self.max_phrases = max_phrases

    def settings(self) -> dict[str, Any]:
        """Its name and a hash of the templates."""
        templates = digest(self.templates, self.focus_templates, self.label_templates, self.nouns)
        return dict(
            captioner=type(self).__name__, templates=templates, max_phrases=self.max_phrases
        )

    def caption(self, images: Sequence[ImageRecord], pixels: Sequence[np.ndarray]) -> list[Outcome]:
        """Write a sentence for each image; without tags and label, drop it."""
        sentences = [self.sentence(image) for image in images]
        return [
            Outcome(dict(captions=[sentence]))
            if sentence
            else Outcome(status=DROPPED, reason=NOTHING_KNOWN)
            for sentence in sentences
        ]

    def sentence(self, image: ImageRecord) -> str | None:
        """Describe one image.

        Args:
            image (ImageRecord): With ``focus``, ``around`` and ``label``, as far as known.

        Returns:
            str | None: A sentence; None if nothing is known.
        """
        known = image.fields
        focus = noun_phrases(known.get('focus') or (), self.nouns, self.max_phrases)
        around = noun_phrases(known.get('around') or (), self.nouns, self.max_phrases, but=focus)
        label = words(known.get('label') or '')
        if focus and around:
            pool, filling = (
                self.templates,
                dict(focus=enumeration(focus), around=enumeration(around)),
            )
        elif focus or around:
            pool, filling = self.focus_templates, dict(focus=enumeration(focus or around))
        elif label:
            pool, filling = self.label_templates, dict(label=with_article(label))
        else:
            return None
        text = pool[stable_id(image.name) % len(pool)].format(**filling)
        return text[0].upper() + text[1:]
