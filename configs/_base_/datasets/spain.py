_base_ = ['./image_text.py']
data_root = 'data/urbancross/Spain'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/spain_train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/spain_val.json'))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/spain_test.json'))
