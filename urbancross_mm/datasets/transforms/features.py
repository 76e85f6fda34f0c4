"""Features of an image that were computed beforehand."""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform

from urbancross_mm.datasets.feature_file import open_features
from urbancross_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFeatures(BaseTransform):
    """Look the image of an item up in a file of features, in place of ``LoadImage``.

    Needs ``img_id``. Adds ``image_feats`` (float32, ``(C,)``), which ``PackRetrievalInputs`` packs
    as ``image``. No image is decoded, so geometry and segments have nothing to work on; but a
    file at ``img_path`` must be the one that was encoded. All transforms of one file share it in
    memory.

    Args:
        file (str): An ``.npz`` file of ``tools/misc/extract_features.py``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, does not hold the image, or holds what another file
            under its name gave.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._features = open_features(file)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Look the image up."""
        if results.get('img_path'):
            self._features.check_image(results['img_id'], results['img_path'])
        results['image_feats'] = self._features.image(results['img_id'])
        return results
