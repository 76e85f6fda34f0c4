# SIRS on RSITMD with the class maps of RSITMD-SS (docs/how-to/segmentation.md).
_base_ = '../_base_/datasets/sirs.py'
data = dict(data_root=_base_.domains.rsitmd)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsitmd_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsitmd_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsitmd_test.json'))
