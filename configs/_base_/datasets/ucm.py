_base_ = ['./five_captions.py']
data_root = 'data/ucm'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/ucm_train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/ucm_val.json'))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/ucm_test.json'))
