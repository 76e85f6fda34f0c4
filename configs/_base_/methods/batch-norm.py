# AdaBN: the target's statistics in every BatchNorm of the image encoder. Nothing is trained: one
# pass without a learning rate.
_base_ = '../adaptation.py'
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='CheckpointGuardHook'),
    dict(type='TargetBatchNormHook'),
]
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'.': dict(lr_mult=0.0)}))
param_scheduler = []
train_cfg = dict(max_epochs=1)
