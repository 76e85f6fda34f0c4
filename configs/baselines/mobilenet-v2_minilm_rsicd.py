# The same as on UCM, on RSICD.
_base_ = './mobilenet-v2_minilm_ucm.py'
data = dict(data_root=_base_.domains.rsicd)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_test.json'))
