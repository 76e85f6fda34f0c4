# ResNet-18 and GRU adapted from UCM to RSICD by optimal transport.
_base_ = [
    '../_base_/methods/transport.py', '../_base_/retrievers/resnet-18_gru_ucm.py',
    '../_base_/datasets/adaptation/ucm2rsicd_128px.py', '../_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='rsicd', source_checkpoint='work_dirs/resnet-18_gru_ucm'))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=128)
