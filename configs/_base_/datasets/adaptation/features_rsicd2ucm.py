# As rsicd2ucm.py, on features that were computed beforehand (tools/misc/extract_features.py).
_base_ = ['./source2target.py']
rsicd_pipeline = [
    dict(type='LoadFeatures', file='data/rsicd/features.npz'),
    dict(type='TokenizeText',
         tokenizer=dict(type='FeatureTokenizer', file='data/rsicd/features.npz')),
    dict(type='PackRetrievalInputs')
]
ucm_pipeline = [
    dict(type='LoadFeatures', file='data/ucm/features.npz'),
    dict(type='TokenizeText',
         tokenizer=dict(type='FeatureTokenizer', file='data/ucm/features.npz')),
    dict(type='PackRetrievalInputs')
]
source = dict(
    type='ImageTextDataset', data_root='data/rsicd', ann_file='annotations/rsicd_train.json',
    captions='sample', pipeline=rsicd_pipeline)
target = dict(
    type='UnpairedDataset', data_root='data/ucm', ann_file='annotations/ucm_train.json',
    pipeline=ucm_pipeline)
train_dataloader = dict(
    batch_size=128, num_workers=0,
    batch_sampler=dict(source=dict(rsicd=64), target=dict(ucm=64)),
    dataset=dict(datasets=[source, target]))
val_dataloader = dict(num_workers=0, dataset=dict(
    data_root='data/ucm', ann_file='annotations/ucm_val.json', pipeline=ucm_pipeline))
test_dataloader = dict(num_workers=0, dataset=dict(
    data_root='data/ucm', ann_file='annotations/ucm_test.json', pipeline=ucm_pipeline))
