# UrbanCross's two towers without segments on Spain.
_base_ = './urbancross_finland_no-segments.py'
data = dict(data_root=_base_.domains.spain)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/spain_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/spain_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/spain_test.json'))
