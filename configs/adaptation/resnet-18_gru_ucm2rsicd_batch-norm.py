# ResNet-18 and GRU adapted from UCM to RSICD by the statistics of its BatchNorm alone (AdaBN).
_base_ = [
    '../_base_/methods/batch-norm.py', '../_base_/retrievers/resnet-18_gru_ucm.py',
    '../_base_/datasets/adaptation/ucm2rsicd_128px.py', '../_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='rsicd', source_checkpoint='work_dirs/resnet-18_gru_ucm'))
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='CheckpointGuardHook'),
    dict(type='TargetBatchNormHook'),
]
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'.': dict(lr_mult=0.0)}))
param_scheduler = []
train_cfg = dict(max_epochs=1)
auto_scale_lr = dict(base_batch_size=128)
