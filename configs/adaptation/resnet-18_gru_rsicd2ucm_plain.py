# ResNet-18 and GRU adapted from RSICD to UCM by UrbanCross's adaptation without a curriculum.
_base_ = [
    '../_base_/methods/plain.py', '../_base_/retrievers/resnet-18_gru.py',
    '../_base_/datasets/adaptation/rsicd2ucm_128px.py', '../_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='ucm', source_checkpoint='work_dirs/resnet-18_gru_rsicd'))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=128)
