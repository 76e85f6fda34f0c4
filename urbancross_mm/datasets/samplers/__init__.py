"""Which items make up a batch."""

from urbancross_mm.datasets.samplers.cross_domain_sampler import CrossDomainSampler

__all__ = ['CrossDomainSampler']
