"""Satellite image-text retrieval with cross-domain adaptation, as an OpenMMLab plug-in.

Importing the package is cheap: it installs the torchvision import hook and nothing heavy.
Components register themselves when mmengine first looks into the ``urbancross_mm`` scope.
"""

from urbancross_mm.utils.torchvision_hook import install_torchvision_hook
from urbancross_mm.version import __version__

install_torchvision_hook()

__all__ = ['__version__']
