"""Which items make up a batch."""

from urbancross_mm.datasets.samplers.cross_domain_sampler import CrossDomainSampler
from urbancross_mm.datasets.samplers.modality_batch_sampler import ModalityBatchSampler

__all__ = ['CrossDomainSampler', 'ModalityBatchSampler']
