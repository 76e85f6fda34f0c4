"""The config of a published model, read off its shapes alone."""

from typing import Any

import open_clip
import pytest
import torch

from urbancross_mm.models.encoders.clip_layouts import to_two_towers
from urbancross_mm.models.encoders.clip_shapes import config_of_weights, mlp_ratio

# GeoRSCLIP is a ViT-H-14 too, whose heads are 80 wide; RemoteCLIP a ResNet-50.
NAMES = ('ViT-B-32', 'ViT-L-14-336', 'ViT-H-14', 'ViT-g-14', 'RN50', 'RN50x4')


def heads(model: Any) -> list[int]:
    """Of every attention of both towers."""
    return [part.num_heads for part in model.modules() if hasattr(part, 'num_heads')]


@pytest.mark.parametrize('name', NAMES)
def test_models_that_have_a_name(name: str) -> None:
    with torch.device('meta'):
        model = open_clip.CustomTextCLIP(**open_clip.get_model_config(name))
        cfg = config_of_weights(to_two_towers(model.state_dict()))
        found = open_clip.CustomTextCLIP(**cfg)
    assert {name: value.shape for name, value in found.state_dict().items()} == {
        name: value.shape for name, value in model.state_dict().items()
    }
    assert heads(found) == heads(model)


def test_a_width_without_a_known_number_of_heads() -> None:
    with torch.device('meta'):
        vision = dict(image_size=32, patch_size=16, width=72, layers=1, head_width=36)
        text = dict(context_length=8, vocab_size=64, width=64, heads=1, layers=1)
        model = open_clip.CLIP(embed_dim=8, vision_cfg=vision, text_cfg=text)
    with pytest.raises(ValueError, match='72 wide.*name of its model'):
        config_of_weights(to_two_towers(model.state_dict()))


@pytest.mark.parametrize(('hidden', 'width'), [(3072, 768), (6144, 1408), (4304, 1152), (97, 64)])
def test_a_ratio_gives_its_width_back(hidden: int, width: int) -> None:
    assert int(width * mlp_ratio(hidden, width)) == hidden
