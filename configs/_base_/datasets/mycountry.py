# What tools/curate.py makes of your own tiles (docs/curate.md).
_base_ = ['./image_text.py']
data_root = 'data/mycountry'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/mycountry_train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/mycountry_val.json'))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/mycountry_test.json'))
