# Linear heads adapted from UCM to RSICD by UrbanCross's adaptation.
_base_ = [
    '../_base_/methods/curriculum.py', '../_base_/retrievers/linear.py',
    '../_base_/datasets/adaptation/ucm2rsicd_features.py', '../_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='rsicd', source_checkpoint='work_dirs/linear_ucm'))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=128)
