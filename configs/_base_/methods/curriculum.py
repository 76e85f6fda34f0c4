# UrbanCross's adaptation, corrected: a growing share of the source that looks like the target, a
# weighted triplet loss and a weighted adversarial loss.
_base_ = '../adaptation.py'
model = dict(adaptation=dict(
    paired_loss=False,
    selector=dict(type='SimilarSourceSelector', features='fused', encoders='frozen'),
    losses=[
        dict(type='CrossDomainTripletLoss', negative='target'),
        dict(type='WeightedDomainAdversarialLoss'),
    ]))
train_dataloader = _base_.published_batch
auto_scale_lr = dict(base_batch_size=_base_.published_batch.batch_size)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='SourceCurriculumHook', num_stages=5),
    dict(type='GradientReversalHook', schedule='ramp', maximum=0.1),
]
