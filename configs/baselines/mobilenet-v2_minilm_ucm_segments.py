# With three segments an image through the image tower itself, on UCM.
_base_ = ['./mobilenet-v2_minilm_ucm.py']
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadSegments', num_segments=3),
    dict(type='ResizeImage', scale=248),
    dict(type='RandomFlipImage', prob=0.5, directions=('horizontal', 'vertical')),
    dict(type='RandomCropImage', size=224),
    dict(type='TokenizeText', tokenizer={{_base_.minilm_tokenizer}}),
    dict(type='PackRetrievalInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    type='UrbanCross',
    data_preprocessor=dict(num_segments=3, segment_mode='white', segment_size=64),
    segment_encoder=dict(mode='shared'))
