# UrbanCross with segments on Germany.
_base_ = './urbancross_finland.py'
data = dict(data_root=_base_.domains.germany)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/germany_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/germany_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/germany_test.json'))
train_cfg = dict(max_epochs=20)
