# One linear projection each on frozen MobileNetV2 and MiniLM features, on UCM: a minute.
# data/ucm/features.npz: python tools/misc/extract_features.py
#     configs/baselines/mobilenet-v2_minilm_ucm.py --out data/ucm/features.npz
_base_ = [
    '../_base_/datasets/image_text.py', '../_base_/schedules/urbancross.py',
    '../_base_/default_runtime.py'
]
features = f'{_base_.domains.ucm}/features.npz'
pipeline = [
    dict(type='LoadFeatures', file=features),
    dict(type='TokenizeText', tokenizer=dict(type='FeatureTokenizer', file=features)),
    dict(type='PackRetrievalInputs')
]
data = dict(data_root=_base_.domains.ucm, pipeline=pipeline)
# Every caption of an image in every epoch ('each'), and no dropout, overfits within five epochs.
train_dataloader = dict(
    batch_size=256, num_workers=0,
    dataset=dict(**data, ann_file='annotations/ucm_train.json', captions='sample'))
val_dataloader = dict(num_workers=0, dataset=dict(**data, ann_file='annotations/ucm_val.json'))
test_dataloader = dict(num_workers=0, dataset=dict(**data, ann_file='annotations/ucm_test.json'))
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor'),
    image_encoder=dict(type='FeatureEncoder', in_channels=1280, embed_dim=512, dropout=0.3),
    text_encoder=dict(type='FeatureEncoder', in_channels=384, embed_dim=512, dropout=0.3),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=40)]
train_cfg = dict(max_epochs=40, val_interval=5)
default_hooks = dict(checkpoint=dict(interval=5))
auto_scale_lr = dict(base_batch_size=256)
adapt = dict(lr=3e-4, balanced=True)
