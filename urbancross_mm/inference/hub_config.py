"""A config as mmpretrain's ``get_model`` builds it."""

from __future__ import annotations

from mmengine.config import Config

from urbancross_mm.inference.checkpoints import for_checkpoint
from urbancross_mm.inference.config import load_config, model_of
from urbancross_mm.registry import SCOPE


def read_hub_config(path: str) -> Config:
    """Read a config of this package for another one.

    Args:
        path (str): The file.

    Returns:
        Config: Its model is built in our scope, whoever builds it, and without pretrained weights:
        nothing is downloaded, and ``pretrained=`` of ``get_model`` brings them.
    """
    cfg = load_config(path)
    model = dict(for_checkpoint(model_of(cfg)), _scope_=SCOPE)
    return Config(dict(cfg.to_dict(), model=model), filename=cfg.filename)
