"""The base class of captioners, and a captioner that needs no weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
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

# Most tags of the focus, and most tags around it.
MAX_PHRASES = 5
NOTHING_KNOWN = 'no tags and no label to write a caption from'


class BaseCaptioner(ABC):
    """Writes captions of images.

    Attributes:
        needs_pixels (ClassVar[bool]): Whether it uses the pixels.
        batched (ClassVar[bool]): Whether a model processes the images of a batch together.
        libraries (ClassVar[tuple[str, ...]]): Packages whose versions are recorded.
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
        """Look for files and check options, before anything runs.

        Raises:
            FileNotFoundError: If the model is not on disk and cannot be downloaded.
            ValueError: If an option is wrong.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What captions depend on besides the images; short, plain JSON."""

    def begin(self, device: str) -> None:  # noqa: B027
        """Load the model.

        Args:
            device (str): Device of the model.
        """

    @abstractmethod
    def caption(self, images: Sequence[ImageRecord], pixels: Sequence[np.ndarray]) -> list[Outcome]:
        """Describe a batch.

        Args:
            images (Sequence[ImageRecord]): The images with their fields.
            pixels (Sequence[np.ndarray]): uint8 RGB, ``(H, W, 3)``; empty unless
                :attr:`needs_pixels`.

        Returns:
            list[Outcome]: One per image, with the field ``captions``.
        """


@CURATION.register_module()
class TemplateCaptioner(BaseCaptioner):
    """Writes one caption from the tags or the label of an image, without model and pixels.

    The template depends only on the name of the image. So captions vary between images, but never
    change.

    Args:
        templates (Sequence[str]): Templates with ``{focus}`` and ``{around}``. Defaults to four.
        focus_templates (Sequence[str]): Templates with ``{focus}``, for images with tags only at
            the focus or only around it. Defaults to four.
        label_templates (Sequence[str]): Templates with ``{label}``, for images without tags. The
            label comes with its article, ``an airport``. Defaults to four.

    Raises:
        ValueError: If a template has another variable, or there is no template.
    """

    # Data, not messages: another wording would change existing datasets.
    FULL = (
        'A satellite image of {focus}, surrounded by {around}.',
        'The aerial view shows {focus}, with {around} nearby.',
        'From above one sees {focus} close to {around}.',
        'An overhead picture of {focus} in the neighbourhood of {around}.',
    )
    FOCUS = (
        'A satellite image of {focus}.',
        'The aerial view shows {focus}.',
        'From above one sees {focus}.',
        'An overhead picture of {focus}.',
    )
    LABEL = (
        'A satellite image of {label} scene.',
        'The aerial view shows {label} scene.',
        'From above one sees {label} scene.',
        'An overhead picture of {label} scene.',
    )

    def __init__(
        self,
        templates: Sequence[str] = FULL,
        focus_templates: Sequence[str] = FOCUS,
        label_templates: Sequence[str] = LABEL,
    ) -> None:
        for what, given, names in (
            ('templates', templates, ('focus', 'around')),
            ('focus_templates', focus_templates, ('focus',)),
            ('label_templates', label_templates, ('label',)),
        ):
            if isinstance(given, str) or not given:
                raise ValueError(f'{what} must be a list with at least one template, got {given!r}')
            for template in given:
                check_template(template, names, what)
        self.templates = tuple(templates)
        self.focus_templates = tuple(focus_templates)
        self.label_templates = tuple(label_templates)

    def settings(self) -> dict[str, Any]:
        """Type, and a hash of the templates."""
        # With what is no option any more, so that records of earlier runs stay valid.
        templates = digest(self.templates, self.focus_templates, self.label_templates, NOUNS)
        return dict(captioner=type(self).__name__, templates=templates, max_phrases=MAX_PHRASES)

    def caption(self, images: Sequence[ImageRecord], pixels: Sequence[np.ndarray]) -> list[Outcome]:
        """Write one caption per image. An image without tags and label is dropped."""
        return [
            Outcome(dict(captions=[text]))
            if (text := self.describe(image))
            else Outcome(status=DROPPED, reason=NOTHING_KNOWN)
            for image in images
        ]

    def describe(self, image: ImageRecord) -> str | None:
        """The caption of an image; None without tags and label."""
        known = image.fields
        focus = noun_phrases(known.get('focus') or (), NOUNS, MAX_PHRASES)
        around = noun_phrases(known.get('around') or (), NOUNS, MAX_PHRASES, but=focus)
        label = words(known.get('label') or '')
        if focus and around:
            pool = self.templates
            filling = dict(focus=enumeration(focus), around=enumeration(around))
        elif focus or around:
            pool, filling = self.focus_templates, dict(focus=enumeration(focus or around))
        elif label:
            pool, filling = self.label_templates, dict(label=with_article(label))
        else:
            return None
        text = pool[stable_id(image.name) % len(pool)].format(**filling)
        return text[0].upper() + text[1:]
