# DANN: the retriever's own loss on the source, and an adversarial loss without weights.
_base_ = '../adaptation.py'
model = dict(adaptation=dict(
    losses=[dict(type='WeightedDomainAdversarialLoss', weighted=False)]))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='GradientReversalHook', schedule='ramp', maximum=0.1),
]
