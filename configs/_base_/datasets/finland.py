_base_ = ['./image_text.py']
data_root = 'data/urbancross/Finland'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/finland_train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/finland_val.json'))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/finland_test.json'))
