# The same as on UCM, on RSICD.
_base_ = ['./linear_ucm.py']
features = 'data/rsicd/features.npz'
pipeline = [
    dict(type='LoadFeatures', file=features),
    dict(type='TokenizeText', tokenizer=dict(type='FeatureTokenizer', file=features)),
    dict(type='PackRetrievalInputs')
]
root = dict(data_root='data/rsicd', pipeline=pipeline)
train_dataloader = dict(dataset=dict(**root, ann_file='annotations/rsicd_train.json'))
val_dataloader = dict(dataset=dict(**root, ann_file='annotations/rsicd_val.json'))
test_dataloader = dict(dataset=dict(**root, ann_file='annotations/rsicd_test.json'))
