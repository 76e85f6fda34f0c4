"""Make a CUDA build of torchvision importable beside a CPU-only torch.

PyPI carries only the CUDA build of torchvision. Beside a CPU-only torch its compiled library does
not load, the operator ``torchvision::nms`` is never defined, and ``import torchvision`` (with it
open_clip, segment_anything and most of OpenMMLab) dies. The hook waits for torchvision to be
executed, tries its library, and only if that fails defines the two missing schemas with a
plain-torch CPU ``nms``.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# torch keeps a fragment's operators only as long as the Library object lives.
_libraries: list[Any] = []


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression in plain torch.

    Args:
        boxes (Tensor): Corners ``(x1, y1, x2, y2)`` in pixels.
        scores (Tensor): One score per box.
        iou_threshold (float): Boxes that overlap a kept one by more (IoU, 0 to 1) are dropped.

    Shape:
        - boxes: ``(N, 4)``; scores: ``(N,)``; output: ``(M,)``.

    Returns:
        Tensor: Indices of the kept boxes, best score first.
    """
    import torch

    boxes = boxes.float()
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = scores.argsort(descending=True, stable=True)
    kept = []
    while order.numel():
        best, rest = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[rest, :2])
        high = torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlap = (high - low).clamp(min=0).prod(dim=1)
        order = rest[overlap <= iou_threshold * (area[best] + area[rest] - overlap)]
    return torch.stack(kept) if kept else order


class _Loader(importlib.abc.Loader):
    """Run ``before`` ahead of the wrapped loader's own work, and ``after`` behind it."""

    def __init__(self, wrapped: Any, spec: importlib.machinery.ModuleSpec) -> None:
        self.wrapped = wrapped
        self.spec = spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Leave creation to the wrapped loader."""
        return self.wrapped.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute torchvision, with the missing operators defined if its library cannot load."""
        # The hook is needed until torchvision really runs: transformers only asks find_spec.
        sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, TorchvisionFinder)]
        broken = not _library_loads(self.spec)
        if broken:
            _define_operators()
        self.wrapped.exec_module(module)
        if broken:
            _lift_operator_check()


class TorchvisionFinder(importlib.abc.MetaPathFinder):
    """Finds ``torchvision`` as Python would, and wraps its loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the ordinary spec with our loader around its own, for torchvision alone."""
        if fullname != 'torchvision':
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, spec)
        return spec


def install_torchvision_hook() -> None:
    """Put the finder first on ``sys.meta_path``, once, unless torchvision is already imported."""
    if 'torchvision' in sys.modules:
        return
    if not any(isinstance(finder, TorchvisionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionFinder())


def _library_loads(spec: importlib.machinery.ModuleSpec) -> bool:
    import torch

    for folder in spec.submodule_search_locations or []:
        for library in sorted(Path(folder).glob('_C*')):
            try:
                torch.ops.load_library(str(library))
            except (ImportError, OSError):
                continue
            return True
    return False


def _define_operators() -> None:
    import torch

    fragment = torch.library.Library('torchvision', 'FRAGMENT')
    _libraries.append(fragment)
    fragment.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    fragment.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    fragment.impl('nms', nms, 'CPU')


def _lift_operator_check() -> None:
    from torchvision.ops import boxes

    boxes._assert_has_ops = lambda: None
