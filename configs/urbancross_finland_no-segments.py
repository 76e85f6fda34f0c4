# UrbanCross's two towers without segments on Finland.
_base_ = [
    './_base_/models/clip_vit-b-16.py', './_base_/datasets/image_text.py',
    './_base_/schedules/urbancross.py', './_base_/default_runtime.py'
]
data = dict(data_root=_base_.domains.finland)
train_dataloader = dict(
    batch_size=45, dataset=dict(**data, ann_file='annotations/finland_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/finland_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/finland_test.json'))
train_cfg = dict(max_epochs=15)
auto_scale_lr = dict(base_batch_size=45)
