"""Transforms of the data pipeline."""

from urbancross_mm.datasets.transforms.audio import (
    LoadAudio,
    LoadSpectrogramImage,
    SpecAugment,
)
from urbancross_mm.datasets.transforms.features import LoadFeatures
from urbancross_mm.datasets.transforms.formatting import PackRetrievalInputs
from urbancross_mm.datasets.transforms.geometry import (
    RandomCropImage,
    RandomFlipImage,
    RandomRotate,
    ResizeImage,
)
from urbancross_mm.datasets.transforms.loading import LoadImage, LoadSegMap
from urbancross_mm.datasets.transforms.segments import LoadSegmentFolder, LoadSegments
from urbancross_mm.datasets.transforms.text import TokenizeText

__all__ = [
    'LoadAudio',
    'LoadFeatures',
    'LoadImage',
    'LoadSegMap',
    'LoadSegmentFolder',
    'LoadSegments',
    'LoadSpectrogramImage',
    'PackRetrievalInputs',
    'RandomCropImage',
    'RandomFlipImage',
    'RandomRotate',
    'ResizeImage',
    'SpecAugment',
    'TokenizeText',
]
