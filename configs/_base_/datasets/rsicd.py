_base_ = ['./five_captions.py']
data_root = 'data/rsicd'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/rsicd_train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/rsicd_val.json'))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/rsicd_test.json'))
