# UrbanCross with segments on RSITMD.
_base_ = './urbancross_rsicd.py'
data = dict(data_root=_base_.domains.rsitmd)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsitmd_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsitmd_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsitmd_test.json'))
train_cfg = dict(max_epochs=15)
