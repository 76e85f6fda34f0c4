_base_ = ['./five_captions.py']
data_root = 'data/rsitmd'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/rsitmd_train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/rsitmd_val.json'))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/rsitmd_test.json'))
