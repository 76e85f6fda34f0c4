# From scratch: ResNet-18 at 128 px and a GRU over words, on UCM. Two cores, minutes an epoch.
_base_ = [
    '../_base_/datasets/ucm.py', '../_base_/schedules/urbancross.py',
    '../_base_/default_runtime.py'
]
words = dict(type='VocabTokenizer', vocab_file='data/ucm/annotations/ucm_vocab.json')
geometry = [
    dict(type='ResizeImage', scale=144),
    dict(type='RandomFlipImage', prob=0.5, directions=('horizontal', 'vertical')),
    dict(type='RandomCropImage', size=128),
]
text_and_pack = [dict(type='TokenizeText', tokenizer=words), dict(type='PackRetrievalInputs')]
train_pipeline = [dict(type='LoadImage'), *geometry, *text_and_pack]
test_pipeline = [dict(type='LoadImage'), dict(type='ResizeImage', scale=128), *text_and_pack]
train_dataloader = dict(
    batch_size=128, num_workers=2, dataset=dict(captions='sample', pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
    image_encoder=dict(
        type='BackboneEncoder', backbone=dict(type='mmpretrain.ResNet', depth=18),
        in_channels=512, embed_dim=256),
    text_encoder=dict(type='GRUTextEncoder', tokenizer=words, pool='max', embed_dim=256),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05), clip_grad=dict(max_norm=5.0))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=40)]
train_cfg = dict(max_epochs=40, val_interval=5)
auto_scale_lr = dict(base_batch_size=128)
