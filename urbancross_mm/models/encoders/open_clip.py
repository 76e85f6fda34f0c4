"""The two towers of an open_clip model."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from urbancross_mm.models.encoders.base import BaseEncoder, TokenLimits
from urbancross_mm.models.encoders.clip_factory import build_clip
from urbancross_mm.models.encoders.clip_layouts import to_two_towers
from urbancross_mm.models.encoders.clip_loading import check_activation, fit_towers
from urbancross_mm.registry import MODELS

T5_EXTRA_IDS = 100


class _OpenCLIPEncoder(BaseEncoder):
    """One tower; a subclass names it.

    open_clip builds and loads whole models only, so each encoder builds one and keeps its tower.
    The second read of the file comes from the page cache.
    """

    tower_name: str

    def __init__(
        self,
        model_name: str | None = 'ViT-B-16',
        pretrained: str | None = None,
        model_cfg: dict[str, Any] | None = None,
        frozen: bool = False,
        grad_checkpointing: bool = False,
        init_cfg: dict[str, Any] | None = None,
        **overrides: Any,
    ) -> None:
        super().__init__(init_cfg)
        model, self.embed_dim = build_clip(model_name, pretrained, model_cfg, **overrides)
        self.tower = getattr(model, self.tower_name)
        if grad_checkpointing:
            self.tower.set_grad_checkpointing(True)
        if frozen:
            self.freeze('tower')

    def own_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This tower's part of a checkpoint, as ``init_cfg`` and ``load_from`` load it.

        Args:
            weights (Mapping): This encoder's own, or those of a whole CLIP in any layout that
                ``pretrained`` takes.

        Returns:
            dict[str, Tensor]: ``tower.*``, the position embedding in the size of the tower; empty
            where there is none of it.

        Raises:
            ValueError: If they are of an OpenAI archive, and the tower has no QuickGELU.
        """
        prefix, own = f'{self.tower_name}.', 'tower.'
        if any(name.startswith(own) for name in weights):
            named = {prefix + name.removeprefix(own): value for name, value in weights.items()}
        else:
            check_activation(self.tower, weights)
            named = to_two_towers(weights)
            named = {name: value for name, value in named.items() if name.startswith(prefix)}
        fit_towers(SimpleNamespace(**{self.tower_name: self.tower}), named)
        return {own + name.removeprefix(prefix): value for name, value in named.items()}


@MODELS.register_module()
class OpenCLIPImageEncoder(_OpenCLIPEncoder):
    """Image tower of an open_clip model, projection included.

    Args:
        model_name (str, optional): Name in ``open_clip.list_models()``, ``'local-dir:<folder>'``
            or ``'hf-hub:<organization>/<name>'``. Defaults to 'ViT-B-16'.
        pretrained (str, optional): Tag (``'laion2b_s34b_b88k'``, downloaded once), a local file of
            the whole model (``.pt``, ``.pth``, ``.bin``, ``.safetensors``; of open_clip, OpenAI,
            transformers, the published UrbanCross or a model that fine-tunes one), or a folder of
            transformers. Defaults to None: the weights in the folder or on the hub that the name
            says, else random.
        model_cfg (dict, optional): ``embed_dim``, ``vision_cfg`` and ``text_cfg`` of a model
            without a name; replaces ``model_name``. Defaults to None.
        frozen (bool): Do not train the tower. Defaults to False.
        grad_checkpointing (bool): Recompute activations to save memory. Defaults to False.
        force_quick_gelu (bool): The activation of OpenAI's weights; their tag sets it by itself.
            Defaults to False.
        image_size (int | tuple, optional): Other than the model's own; its position embedding
            is resized. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If the model or tag is unknown or cannot be built, or the file holds another
            model's weights.
        FileNotFoundError: If weights or configs are neither on disk nor to be downloaded.
    """

    tower_name = 'visual'

    def __init__(
        self,
        model_name: str | None = 'ViT-B-16',
        pretrained: str | None = None,
        model_cfg: dict[str, Any] | None = None,
        frozen: bool = False,
        grad_checkpointing: bool = False,
        force_quick_gelu: bool = False,
        image_size: int | tuple[int, int] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            model_name,
            pretrained,
            model_cfg,
            frozen,
            grad_checkpointing,
            init_cfg,
            force_quick_gelu=force_quick_gelu,
            image_size=image_size,
        )

    def forward(self, image: Tensor) -> Tensor:
        """Features (N, D) of images (N, 3, H, W), not normalized."""
        return self.tower(image)


@MODELS.register_module()
class OpenCLIPTextEncoder(_OpenCLIPEncoder):
    """Text tower of an open_clip model, projection included.

    Args:
        model_name (str, optional): Name, as for :class:`OpenCLIPImageEncoder`. Defaults to
            'ViT-B-16'.
        pretrained (str, optional): Tag or local file, as for :class:`OpenCLIPImageEncoder`.
            Defaults to None.
        model_cfg (dict, optional): Config of a model without a name. Defaults to None.
        frozen (bool): Do not train the tower. Defaults to False.
        grad_checkpointing (bool): Recompute activations to save memory. Defaults to False.
        force_quick_gelu (bool): The activation of OpenAI's weights; their tag sets it by itself.
            Defaults to False.
        context_length (int, optional): Other than the model's own; its position embedding is
            resized. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If the model or tag is unknown or cannot be built, or the file holds another
            model's weights.
        FileNotFoundError: If weights or configs are neither on disk nor to be downloaded.
    """

    tower_name = 'text'

    def __init__(
        self,
        model_name: str | None = 'ViT-B-16',
        pretrained: str | None = None,
        model_cfg: dict[str, Any] | None = None,
        frozen: bool = False,
        grad_checkpointing: bool = False,
        force_quick_gelu: bool = False,
        context_length: int | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            model_name,
            pretrained,
            model_cfg,
            frozen,
            grad_checkpointing,
            init_cfg,
            force_quick_gelu=force_quick_gelu,
            context_length=context_length,
        )

    def token_limits(self) -> TokenLimits:
        """Of the tower; a tokenizer of T5, as of SigLIP, has more ids, which no text holds."""
        size = getattr(self.tower, 'vocab_size', None)
        length = getattr(self.tower, 'context_length', None)
        return TokenLimits(size and size + T5_EXTRA_IDS, max_tokens=length or None)

    def forward(self, text: Tensor) -> Tensor:
        """Features (N, D) of token ids (N, L), not normalized."""
        return self.tower(text)
