# UrbanCross with segments on RSICD: five captions and six segments per image.
_base_ = './urbancross_finland.py'
data = dict(data_root=_base_.domains.rsicd)
segment_train_pipeline = [
    dict(type='LoadImage'), dict(type='LoadSegments', num_segments=6), *_base_.geometry,
    *_base_.text_and_pack]
train_dataloader = dict(dataset=dict(
    **data, ann_file='annotations/rsicd_train.json', pipeline=segment_train_pipeline))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_test.json'))
train_cfg = dict(max_epochs=20)
model = dict(data_preprocessor=dict(num_segments=6))
adapt = dict(captions='sample')
