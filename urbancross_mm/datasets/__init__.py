"""Datasets, transforms and tokenizers.

The sample world and the converters are tools, not components: import them by name.
"""

from urbancross_mm.datasets.concat_dataset import ConcatDataset
from urbancross_mm.datasets.feature_tokenizer import FeatureTokenizer
from urbancross_mm.datasets.image_text_dataset import ImageTextDataset
from urbancross_mm.datasets.samplers import CrossDomainSampler, ModalityBatchSampler
from urbancross_mm.datasets.sentence_tokenizer import SentenceTokenizer
from urbancross_mm.datasets.tokenizers import (
    HuggingFaceTokenizer,
    OpenCLIPTokenizer,
    VocabTokenizer,
)
from urbancross_mm.datasets.transforms import (
    LoadAudio,
    LoadFeatures,
    LoadImage,
    LoadSegMap,
    LoadSegmentFolder,
    LoadSegments,
    LoadSpectrogramImage,
    PackRetrievalInputs,
    RandomCropImage,
    RandomFlipImage,
    RandomRotate,
    ResizeImage,
    SpecAugment,
    TokenizeText,
)
from urbancross_mm.datasets.unlabeled_dataset import UnlabeledDataset
from urbancross_mm.datasets.unpaired_dataset import AnchorDataset, UnpairedDataset
from urbancross_mm.datasets.web_image_text_dataset import WebImageTextDataset

__all__ = [
    'AnchorDataset',
    'ConcatDataset',
    'CrossDomainSampler',
    'FeatureTokenizer',
    'HuggingFaceTokenizer',
    'ImageTextDataset',
    'LoadAudio',
    'LoadFeatures',
    'LoadImage',
    'LoadSegMap',
    'LoadSegmentFolder',
    'LoadSegments',
    'LoadSpectrogramImage',
    'ModalityBatchSampler',
    'OpenCLIPTokenizer',
    'PackRetrievalInputs',
    'RandomCropImage',
    'RandomFlipImage',
    'RandomRotate',
    'ResizeImage',
    'SentenceTokenizer',
    'SpecAugment',
    'TokenizeText',
    'UnlabeledDataset',
    'UnpairedDataset',
    'VocabTokenizer',
    'WebImageTextDataset',
]
