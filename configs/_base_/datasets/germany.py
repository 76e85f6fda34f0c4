_base_ = ['./image_text.py']
data_root = 'data/urbancross/Germany'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/germany_train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/germany_val.json'))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/germany_test.json'))
