# From scratch with three segments per image through a tower of their own, on UCM.
_base_ = './resnet-18_gru_ucm.py'
train_pipeline = [
    dict(type='LoadImage'), dict(type='LoadSegments', num_segments=3), *_base_.geometry,
    *_base_.text_and_pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    type='UrbanCross',
    data_preprocessor=dict(num_segments=3, segment_mode='white', segment_size=64),
    segment_encoder=dict(mode='trainable'))
