# From scratch: ResNet-18 at 128 px and a GRU over words, on UCM. Two cores, minutes per epoch.
_base_ = [
    '../_base_/models/resnet-18_gru.py', '../_base_/datasets/image_text.py',
    '../_base_/schedules/urbancross.py', '../_base_/default_runtime.py'
]
image_size = {{'$IMAGE_SIZE:128'}}
geometry = [
    dict(type='ResizeImage', scale=round(image_size * 144 / 128)),
    dict(type='RandomFlipImage', prob=0.5, directions=('horizontal', 'vertical')),
    dict(type='RandomCropImage', size=image_size),
]
text_and_pack = [
    dict(type='TokenizeText', tokenizer=_base_.words), dict(type='PackRetrievalInputs')]
train_pipeline = [dict(type='LoadImage'), *geometry, *text_and_pack]
test_pipeline = [
    dict(type='LoadImage'), dict(type='ResizeImage', scale=image_size), *text_and_pack]
data = dict(data_root=_base_.domains.ucm)
train_dataloader = dict(batch_size=128, num_workers=2, dataset=dict(
    **data, ann_file='annotations/ucm_train.json', captions='sample', pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(
    **data, ann_file='annotations/ucm_val.json', pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(
    **data, ann_file='annotations/ucm_test.json', pipeline=test_pipeline))
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05), clip_grad=dict(max_norm=5.0))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=40)]
train_cfg = dict(max_epochs=40, val_interval=5)
auto_scale_lr = dict(base_batch_size=128)
