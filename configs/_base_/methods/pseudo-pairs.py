# Mutual nearest neighbours with CSLS as pairs of the target, the confident ones first, beside the
# retriever's own loss on the source.
_base_ = ['../adaptation_runtime.py']
model = dict(
    type='DomainAdaptiveRetriever',
    losses=[dict(type='PseudoPairLoss', neighbours=10)])
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='CheckpointGuardHook'),
    dict(type='RetrievalVisualizationHook', num_queries=3),
    dict(type='SourceCurriculumHook', num_stages=5),
]
