# The same as on UCM, on RSICD.
_base_ = './linear_ucm.py'
features = f'{_base_.domains.rsicd}/features.npz'
pipeline = [
    dict(type='LoadFeatures', file=features),
    dict(type='TokenizeText', tokenizer=dict(type='FeatureTokenizer', file=features)),
    dict(type='PackRetrievalInputs')
]
data = dict(data_root=_base_.domains.rsicd, pipeline=pipeline)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/rsicd_test.json'))
