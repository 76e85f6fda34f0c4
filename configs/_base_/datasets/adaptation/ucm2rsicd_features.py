# As ucm2rsicd.py, on features that were computed beforehand (tools/misc/extract_features.py); as many
# target items a batch as source pairs.
_base_ = ['./ucm2rsicd.py']
source_pipeline, target_pipeline = ([
    dict(type='LoadFeatures', file=file),
    dict(type='TokenizeText', tokenizer=dict(type='FeatureTokenizer', file=file)),
    dict(type='PackRetrievalInputs')
] for file in ('data/ucm/features.npz', 'data/rsicd/features.npz'))
train_dataloader = dict(
    batch_size=128, num_workers=0,
    batch_sampler=dict(source=dict(ucm=64), target=dict(rsicd=64)),
    dataset=dict(datasets=[
        dict(_base_.source, pipeline=source_pipeline),
        dict(_base_.target, pipeline=target_pipeline)]))
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=target_pipeline))
test_dataloader = dict(num_workers=0, dataset=dict(pipeline=target_pipeline))
