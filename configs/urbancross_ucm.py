# UrbanCross with segments on UCM Captions (not in the paper: RSICD's config).
_base_ = './urbancross_rsicd.py'
data = dict(data_root=_base_.domains.ucm)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/ucm_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/ucm_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/ucm_test.json'))
