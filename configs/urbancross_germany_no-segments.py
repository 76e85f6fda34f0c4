# UrbanCross's two towers without segments on Germany.
_base_ = './urbancross_finland_no-segments.py'
data = dict(data_root=_base_.domains.germany)
train_dataloader = dict(
    batch_size=40, dataset=dict(**data, ann_file='annotations/germany_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/germany_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/germany_test.json'))
auto_scale_lr = dict(base_batch_size=40)
