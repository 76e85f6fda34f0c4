# ImageNet MobileNetV2 and the sentence encoder all-MiniLM-L6-v2, both tuned, on UCM.
_base_ = [
    '../_base_/models/mobilenet-v2_minilm.py', '../_base_/datasets/image_text.py',
    '../_base_/schedules/urbancross.py', '../_base_/default_runtime.py'
]
geometry = [
    dict(type='ResizeImage', scale=round(_base_.image_size * 248 / 224)),
    dict(type='RandomFlipImage', prob=0.5, directions=('horizontal', 'vertical')),
    dict(type='RandomCropImage', size=_base_.image_size),
]
text_and_pack = [
    dict(type='TokenizeText', tokenizer=_base_.minilm_tokenizer), dict(type='PackRetrievalInputs')]
train_pipeline = [dict(type='LoadImage'), *geometry, *text_and_pack]
test_pipeline = [
    dict(type='LoadImage'), dict(type='ResizeImage', scale=_base_.image_size), *text_and_pack]
data = dict(data_root=_base_.domains.ucm)
train_dataloader = dict(batch_size=64, num_workers=2, dataset=dict(
    **data, ann_file='annotations/ucm_train.json', captions='sample', pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(
    **data, ann_file='annotations/ucm_val.json', pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(
    **data, ann_file='annotations/ucm_test.json', pipeline=test_pipeline))
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=15)]
train_cfg = dict(max_epochs=15, val_interval=3)
auto_scale_lr = dict(base_batch_size=64)
