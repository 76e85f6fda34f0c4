"""Satellite image-text retrieval with cross-domain adaptation, as an OpenMMLab plug-in.

Importing the package is cheap: it installs two import hooks, for torchvision and for mmengine's
reader of checkpoints, and nothing heavy.
Components register themselves when mmengine first looks into the ``urbancross_mm`` scope.
"""

from urbancross_mm.utils.checkpoint_hook import install_checkpoint_reader
from urbancross_mm.utils.torchvision_hook import install_torchvision_hook
from urbancross_mm.version import __version__

install_torchvision_hook()
install_checkpoint_reader()

__all__ = ['__version__']
