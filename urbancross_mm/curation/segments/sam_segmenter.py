"""Segment Anything models of any size as segmenters."""

from __future__ import annotations

import importlib.metadata
import inspect
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.curation.segments.segmenters import BaseSegmenter
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.checkpoints import read_state_dict
from urbancross_mm.utils.hashing import file_digest
from urbancross_mm.utils.optional import import_optional

# Arguments of the mask generator that are set here, or that are not plain JSON.
RESERVED = ('self', 'model', 'output_mode', 'point_grids')
WEIGHTS = 'https://github.com/facebookresearch/segment-anything#model-checkpoints'
PATCH = 16


@CURATION.register_module()
class SamSegmenter(BaseSegmenter):
    """Segment Anything, prompted with a grid of points. The score is the IoU that it predicts.

    Args:
        checkpoint (str): Published weights, such as ``sam_vit_h_4b8939.pth``.
        model_type (str): 'vit_h', 'vit_l' or 'vit_b', or another name in
            ``segment_anything.sam_model_registry``. Defaults to 'vit_h'.
        model (dict, optional): Sizes of another SAM, see :func:`build_sam`. ``model_type`` is then
            only its name. Defaults to None.
        **options: Options of ``SamAutomaticMaskGenerator`` (``points_per_side``,
            ``pred_iou_thresh``, ...). Its defaults are those of the published pipeline.

    Reference:
        Kirillov et al., `Segment Anything <https://arxiv.org/abs/2304.02643>`_.
    """

    def __init__(
        self,
        checkpoint: str,
        model_type: str = 'vit_h',
        model: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.checkpoint, self.model_type = Path(checkpoint), model_type
        self.model, self.options = model, options
        self.source = f'sam:{model_type}'
        self._generator: Any = None

    def check(self) -> None:
        """Look for the package, the weights and the options.

        Raises:
            FileNotFoundError: If the weights are missing.
            ImportError: If segment_anything is not installed.
            ValueError: If the model or an option is unknown.
        """
        sam = _import_sam()
        if not self.checkpoint.is_file():
            raise FileNotFoundError(
                f'no SAM weights at {self.checkpoint}: get them from {WEIGHTS}, or use '
                'ColorSegmenter, which needs none'
            )
        if self.model is None and self.model_type not in sam.sam_model_registry:
            raise ValueError(
                f'model_type must be one of {", ".join(sam.sam_model_registry)}, got '
                f'{self.model_type!r}'
            )
        known = set(inspect.signature(sam.SamAutomaticMaskGenerator.__init__).parameters)
        unknown = sorted(set(self.options) - (known - set(RESERVED)))
        if unknown:
            raise ValueError(
                f'SamAutomaticMaskGenerator has no option {unknown[0]!r}; it has '
                f'{", ".join(sorted(known - set(RESERVED)))}'
            )

    def settings(self) -> dict[str, Any]:
        """All options, the hash of the weights, and the version of the package."""
        return dict(
            type='SamSegmenter',
            model_type=self.model_type,
            model=self.model,
            weights=file_digest(self.checkpoint),
            version=_version(),
            options=self.options,
        )

    def begin(self, device: str) -> None:
        """Load the weights.

        Raises:
            ValueError: If they belong to another model.
        """
        sam = _import_sam()
        model = (
            build_sam(**self.model)
            if self.model is not None
            else sam.sam_model_registry[self.model_type]()
        )
        weights = read_state_dict(self.checkpoint)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            reason = textwrap.shorten(str(error), 200)
            raise ValueError(
                f'{self.checkpoint} does not hold the weights of SAM {self.model_type}: {reason}'
            ) from error
        self._generator = sam.SamAutomaticMaskGenerator(model.to(device).eval(), **self.options)

    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the masks at the size of the image."""
        segments = self._generator.generate(image)
        masks = np.array([segment['segmentation'] for segment in segments], dtype=bool)
        return (
            masks.reshape(-1, *image.shape[:2]),
            np.array([segment['predicted_iou'] for segment in segments], dtype=float),
        )


def build_sam(
    embed_dim: int = 768,
    depth: int = 12,
    num_heads: int = 12,
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11),
    image_size: int = 1024,
    prompt_dim: int = 256,
    window_size: int = 14,
) -> Any:
    """Build a SAM of any size, with random weights.

    Args:
        embed_dim (int): Width of the image encoder. Defaults to 768; all defaults are those of
            ViT-B.
        depth (int): Number of its blocks. Defaults to 12.
        num_heads (int): Number of its attention heads. Defaults to 12.
        global_attn_indexes (tuple[int, ...]): Blocks with global attention. Defaults to
            (2, 5, 8, 11).
        image_size (int): Longer side of its input in pixels. Defaults to 1024.
        prompt_dim (int): Width of prompts and mask decoder. Defaults to 256.
        window_size (int): Side of the windows of the other blocks. Defaults to 14.

    Returns:
        nn.Module: A ``segment_anything.modeling.Sam``.
    """
    from torch import nn

    parts = import_optional('segment_anything.modeling', 'SamSegmenter', 'segment-anything')
    encoder = parts.ImageEncoderViT(
        img_size=image_size,
        patch_size=PATCH,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        out_chans=prompt_dim,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window_size,
        global_attn_indexes=tuple(global_attn_indexes),
    )
    prompts = parts.PromptEncoder(
        embed_dim=prompt_dim,
        image_embedding_size=(image_size // PATCH,) * 2,
        input_image_size=(image_size,) * 2,
        mask_in_chans=16,
    )
    transformer = parts.TwoWayTransformer(
        depth=2, embedding_dim=prompt_dim, num_heads=8, mlp_dim=8 * prompt_dim
    )
    decoder = parts.MaskDecoder(
        transformer_dim=prompt_dim, iou_head_hidden_dim=prompt_dim, transformer=transformer
    )
    return parts.Sam(encoder, prompts, decoder)


def _import_sam() -> Any:
    return import_optional('segment_anything', 'SamSegmenter', 'segment-anything')


def _version() -> str | None:
    try:
        return importlib.metadata.version('segment-anything')
    except importlib.metadata.PackageNotFoundError:  # a clone on the path
        return None
