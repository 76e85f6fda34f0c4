# One linear projection each on frozen MobileNetV2 and MiniLM features, on UCM: a minute.
# data/ucm/features.npz: python tools/misc/extract_features.py
#     configs/baselines/mobilenet-v2_minilm_ucm.py --out data/ucm/features.npz
_base_ = [
    '../_base_/retrievers/linear.py', '../_base_/datasets/ucm.py',
    '../_base_/schedules/urbancross.py', '../_base_/default_runtime.py'
]
features = 'data/ucm/features.npz'
pipeline = [
    dict(type='LoadFeatures', file=features),
    dict(type='TokenizeText', tokenizer=dict(type='FeatureTokenizer', file=features)),
    dict(type='PackRetrievalInputs')
]
# Every caption of an image in every epoch ('each'), and no dropout, overfits within five epochs.
train_dataloader = dict(
    batch_size=256, num_workers=0, dataset=dict(captions='sample', pipeline=pipeline))
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=pipeline))
test_dataloader = dict(num_workers=0, dataset=dict(pipeline=pipeline))
model = {{_base_.retriever}}
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=40)]
train_cfg = dict(max_epochs=40, val_interval=5)
default_hooks = dict(checkpoint=dict(interval=5))
auto_scale_lr = dict(base_batch_size=256)
