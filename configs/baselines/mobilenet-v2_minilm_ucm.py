# ImageNet MobileNetV2 and the sentence encoder all-MiniLM-L6-v2, both tuned, on UCM.
# weights/: tools/model_converters/torchvision_to_mmpretrain.py makes the first, the second is the
# transformers folder. BatchNorm stays in eval mode (norm_eval): batches are small.
_base_ = [
    '../_base_/datasets/ucm.py', '../_base_/schedules/urbancross.py',
    '../_base_/default_runtime.py'
]
minilm = 'weights/all-MiniLM-L6-v2'
minilm_tokenizer = dict(type='HuggingFaceTokenizer', path=minilm, max_length=40)
text_and_pack = [
    dict(type='TokenizeText', tokenizer=minilm_tokenizer), dict(type='PackRetrievalInputs')]
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
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
    image_encoder=dict(
        type='BackboneEncoder', norm_eval=True, in_channels=1280, embed_dim=512,
        backbone=dict(type='mmpretrain.MobileNetV2', init_cfg=dict(
            type='Pretrained', prefix='backbone.',
            checkpoint='weights/mobilenet_v2_mmpretrain.pth'))),
    text_encoder=dict(type='HuggingFaceTextEncoder', path=minilm, embed_dim=512, pool='mean'),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=15)]
train_cfg = dict(max_epochs=15, val_interval=3)
auto_scale_lr = dict(base_batch_size=64)
