"""A SAM that is small enough for tests."""

from pathlib import Path

import torch

from urbancross_mm.curation.segments.sam_segmenter import build_sam

SIZES = dict(
    embed_dim=16, depth=2, num_heads=2, global_attn_indexes=(1,), image_size=64, prompt_dim=32
)
# A random model is sure of nothing, so every mask passes.
OPTIONS = dict(
    points_per_side=3, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=0.95
)


def save_tiny_sam(path: Path, seed: int = 0) -> Path:
    """Write random weights whose masks differ from image to image."""
    torch.manual_seed(seed)
    model = build_sam(**SIZES)
    for parameter in model.image_encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save(model.state_dict(), path)
    return path
