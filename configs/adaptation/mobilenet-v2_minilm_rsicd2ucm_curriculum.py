# Projections of MobileNetV2 and all-MiniLM-L6-v2 adapted from RSICD to UCM by UrbanCross's adaptation.
_base_ = [
    '../_base_/methods/curriculum.py', '../_base_/retrievers/mobilenet-v2_minilm_frozen.py',
    '../_base_/datasets/adaptation/rsicd2ucm_minilm.py', '../_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='ucm', source_checkpoint='work_dirs/mobilenet-v2_minilm_rsicd'))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=128)
