# UrbanCross with segments on Finland.
_base_ = [
    './_base_/models/urbancross_vit-b-16.py', './_base_/datasets/image_text.py',
    './_base_/schedules/urbancross.py', './_base_/default_runtime.py'
]
data = dict(data_root=_base_.domains.finland)
train_dataloader = dict(
    batch_size=40,
    dataset=dict(
        **data,
        ann_file='annotations/finland_train.json',
        pipeline=_base_.segment_train_pipeline))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/finland_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/finland_test.json'))
train_cfg = dict(max_epochs=15)
