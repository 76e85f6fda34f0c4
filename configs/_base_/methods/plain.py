# UrbanCross's adaptation without a curriculum: a fifth of the source, the retriever's own loss on
# it, and the weighted adversarial loss.
_base_ = '../adaptation.py'
model = dict(adaptation=dict(
    selector=dict(type='SimilarSourceSelector', features='fused', encoders='frozen', ratio=0.2),
    losses=[dict(type='WeightedDomainAdversarialLoss')]))
train_dataloader = _base_.published_batch
auto_scale_lr = dict(base_batch_size=_base_.published_batch.batch_size)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='GradientReversalHook', schedule='ramp', maximum=0.1),
]
