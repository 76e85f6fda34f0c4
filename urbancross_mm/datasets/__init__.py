"""Data sets, transforms and tokenizers.

The sample world and the converters are tools, not components: import them by name.
"""

from urbancross_mm.datasets.image_text_dataset import ImageTextDataset
from urbancross_mm.datasets.tokenizers import (
    HuggingFaceTokenizer,
    OpenCLIPTokenizer,
    VocabTokenizer,
)
from urbancross_mm.datasets.transforms import (
    LoadImage,
    LoadSegmentFolder,
    LoadSegments,
    PackRetrievalInputs,
    RandomCropImage,
    RandomFlipImage,
    RandomRotate,
    ResizeImage,
    TokenizeText,
)

__all__ = [
    'HuggingFaceTokenizer', 'ImageTextDataset', 'LoadImage', 'LoadSegmentFolder', 'LoadSegments',
    'OpenCLIPTokenizer', 'PackRetrievalInputs', 'RandomCropImage', 'RandomFlipImage',
    'RandomRotate', 'ResizeImage', 'TokenizeText', 'VocabTokenizer',
]
