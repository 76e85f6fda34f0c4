# With three segments an image through the image tower itself, on RSICD.
_base_ = './mobilenet-v2_minilm_ucm_segments.py'
data = dict(data_root=_base_.domains.rsicd)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_test.json'))
