# ImageNet MobileNetV2 and the sentence encoder all-MiniLM-L6-v2, both tuned, on UCM.
# weights/: tools/model_converters/torchvision_to_mmpretrain.py makes the first, the second is the
# transformers folder. BatchNorm stays in eval mode (norm_eval): batches are small.
_base_ = [
    '../_base_/retrievers/mobilenet-v2_minilm.py', '../_base_/datasets/ucm.py',
    '../_base_/schedules/urbancross.py', '../_base_/default_runtime.py'
]
text_and_pack = [
    dict(type='TokenizeText', tokenizer={{_base_.minilm_tokenizer}}),
    dict(type='PackRetrievalInputs')]
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeImage', scale=248),
    dict(type='RandomFlipImage', prob=0.5, directions=('horizontal', 'vertical')),
    dict(type='RandomCropImage', size=224), *text_and_pack
]
test_pipeline = [dict(type='LoadImage'), dict(type='ResizeImage', scale=224), *text_and_pack]
train_dataloader = dict(
    batch_size=64, num_workers=2, dataset=dict(captions='sample', pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
model = {{_base_.retriever}}
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=15)]
train_cfg = dict(max_epochs=15, val_interval=3)
auto_scale_lr = dict(base_batch_size=64)
