"""Satellite image-text retrieval with cross-domain adaptation, as an OpenMMLab plug-in.

Importing the package is cheap: it installs import hooks, for torchvision, for mmengine's reader of
checkpoints and for mmpretrain's model hub, and nothing heavy.
Components register themselves when mmengine first looks into the ``urbancross_mm`` scope.
"""

from typing import Any

from urbancross_mm.utils.checkpoint_hook import install_checkpoint_reader
from urbancross_mm.utils.model_hub import install_model_hub
from urbancross_mm.utils.torchvision_hook import install_torchvision_hook
from urbancross_mm.version import __version__


def _read_hub_config(path: str) -> Any:
    """The hub asks for one when a model is built, and never before."""
    from urbancross_mm.inference.hub_config import read_hub_config

    return read_hub_config(path)


install_torchvision_hook()
install_checkpoint_reader()
install_model_hub(_read_hub_config)

__all__ = ['__version__']
