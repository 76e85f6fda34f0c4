# With three segments an image through the image tower itself, on RSICD.
_base_ = ['./mobilenet-v2_minilm_ucm_segments.py']
root = dict(data_root='data/rsicd')
train_dataloader = dict(dataset=dict(**root, ann_file='annotations/rsicd_train.json'))
val_dataloader = dict(dataset=dict(**root, ann_file='annotations/rsicd_val.json'))
test_dataloader = dict(dataset=dict(**root, ann_file='annotations/rsicd_test.json'))
