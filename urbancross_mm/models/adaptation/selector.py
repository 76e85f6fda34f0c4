"""The curriculum's choice of source samples."""

from __future__ import annotations

from torch import Tensor

from urbancross_mm.functional import selection
from urbancross_mm.functional.selection import Selection
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import CurriculumStage

FEATURES = ('fused', 'text', 'image')
ENCODERS = ('frozen', 'live')


@MODELS.register_module()
class SimilarSourceSelector:
    """Takes the source samples that are most like the target batch, and weighs both domains.

    See :func:`urbancross_mm.functional.selection.select_similar`. No gradient passes.

    Args:
        features (str): What is compared: 'fused', the mean direction of image and text, as
            the paper draws it; 'text', as published; 'image'. Defaults to 'fused'.
        encoders (str): 'frozen', the starting checkpoint's; 'live', those in training, as
            published. Defaults to 'frozen'.
        mode (str): 'cumulative' or 'window', which needs a ratio that stays: else its windows
            would overlap. Defaults to 'cumulative'.
        ratio (float): Share of the source to take until a curriculum sets another one.
            Defaults to 0.2.
        floor (float): Share of the weight that is spread evenly. Defaults to 0.05.
        cache_images (bool): Encode every image once with the frozen encoders; only for a
            pipeline without augmentation. Defaults to False.

    Raises:
        ValueError: If an option is unknown or the ratio selects nothing.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241).
    """

    def __init__(
        self,
        features: str = 'fused',
        encoders: str = 'frozen',
        mode: str = 'cumulative',
        ratio: float = 0.2,
        floor: float = 0.05,
        cache_images: bool = False,
    ) -> None:
        options = ((features, FEATURES), (encoders, ENCODERS), (mode, selection.MODES))
        for value, known in options:
            if value not in known:
                raise ValueError(f'SimilarSourceSelector: {value!r} is not one of {known}')
        if not 0 < ratio <= 1 or not 0 <= floor <= 1:
            raise ValueError(
                f'ratio must lie in (0, 1] and floor in [0, 1], got {ratio} and {floor}'
            )
        self.features = features
        self.encoders = encoders
        self.mode = mode
        self.ratio = ratio
        self.floor = floor
        self.cache_images = cache_images
        self.stage = 0

    def set_stage(self, stage: CurriculumStage) -> None:
        """Follow the curriculum.

        Args:
            stage (CurriculumStage): Gives the ratio and the window.

        Raises:
            ValueError: If the ratio changes between windows.
        """
        if self.mode == 'window' and stage.stage > 0 and stage.ratio != self.ratio:
            raise ValueError(
                f"mode='window' needs one ratio for all stages, got {stage.ratio} "
                f'after {self.ratio}: set the ratio of SourceCurriculumHook to '
                "dict(schedule='table', table=[0.2])"
            )
        self.stage, self.ratio = stage.stage, stage.ratio

    def view(self, image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
        """What is compared.

        Args:
            image_embeds (Tensor): Unit vectors; not read for 'text'.
            text_embeds (Tensor): Unit vectors; not read for 'image'.

        Shape:
            (N, D) each -> (N, D).

        Returns:
            Tensor: Unit vectors without gradient.
        """
        if self.features == 'text':
            return text_embeds.detach()
        if self.features == 'image':
            return image_embeds.detach()
        return selection.fuse(image_embeds.detach(), text_embeds.detach())

    def select(self, source: Tensor, target: Tensor) -> Selection:
        """Choose.

        Args:
            source (Tensor): View of the source samples.
            target (Tensor): View of the target samples.

        Shape:
            source (S, D), target (T, D).

        Returns:
            Selection: Indices (k,), ``w_source`` (k,) and ``w_target`` (T,).
        """
        return selection.select_similar(
            source, target, self.ratio, self.mode, self.stage, self.floor
        )
