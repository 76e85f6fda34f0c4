# SIRS as published: captions and class maps of the same images, RSITMD-SS or CAPTIONED=NAME
# (docs/how-to/segmentation.md). Adam, 2e-4, x0.7 every 20 epochs, 35 epochs of 32 pairs.
_base_ = '../_base_/datasets/sirs.py'
data = dict(data_root=_base_.domains['{{$CAPTIONED:rsitmd}}'])
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/{{$CAPTIONED:rsitmd}}_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/{{$CAPTIONED:rsitmd}}_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/{{$CAPTIONED:rsitmd}}_test.json'))
