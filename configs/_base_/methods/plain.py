# UrbanCross's adaptation without a curriculum: a fifth of the source, the retriever's own loss on
# it, and the weighted adversarial loss.
_base_ = ['../adaptation_runtime.py']
model = dict(adaptation=dict(
    selector=dict(type='SimilarSourceSelector', features='fused', encoders='frozen', ratio=0.2),
    losses=[dict(type='WeightedDomainAdversarialLoss')]))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='GradientReversalHook', schedule='ramp', maximum=0.1),
]
