# UrbanCross's adaptation without a curriculum: a fifth of the source, the retriever's own loss on
# it, and the weighted adversarial loss.
_base_ = ['../adaptation_runtime.py']
model = dict(
    type='DomainAdaptiveRetriever',
    selector=dict(type='SimilarSourceSelector', features='fused', encoders='frozen', ratio=0.2),
    losses=[dict(type='WeightedDomainAdversarialLoss')])
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='CheckpointGuardHook'),
    dict(type='RetrievalVisualizationHook', num_queries=3),
    dict(type='GradientReversalHook', schedule='ramp', maximum=0.1),
]
