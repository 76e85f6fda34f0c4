# AdaBN: the target's statistics in every BatchNorm of the image encoder; nothing is trained.
_base_ = ['../adaptation_runtime.py']
model = dict(type='DomainAdaptiveRetriever')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0))
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='CheckpointGuardHook'),
    dict(type='RetrievalVisualizationHook', num_queries=3),
]
train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=1)
param_scheduler = []
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=96)
