"""Loading precomputed features of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.transforms import BaseTransform

from urbancross_mm.datasets.feature_files import FeatureFiles
from urbancross_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFeatures(BaseTransform):
    """Load precomputed features of the image, instead of ``LoadImage``.

    Needs ``img_id``. Adds ``image_feats`` (float32, ``(C,)``), which ``PackRetrievalInputs`` packs
    as ``image``. The image is not decoded, so no geometry or segment transform can follow. If a
    file exists at ``img_path``, it must be the one that was encoded. All transforms of one feature
    file share it in memory.

    Args:
        file (str | Sequence[str]): An ``.npz`` file or a folder of Parquet shards of
            ``tools/misc/extract_features.py``, a pattern of shards, or several of one encoder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a feature file, none holds the image, it holds features of another
            image under this id, or files come from different encoders.
    """

    def __init__(self, file: str | Sequence[str]) -> None:
        self.file = file
        self._features = FeatureFiles(file)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the features."""
        results['image_feats'] = self._features.image(results['img_id'], results.get('img_path'))
        return results
