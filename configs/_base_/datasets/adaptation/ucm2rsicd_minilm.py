# As ucm2rsicd.py, with the tokens of all-MiniLM-L6-v2; as many target items a batch as source pairs.
_base_ = ['./ucm2rsicd.py']
text_and_pack = [
    dict(type='TokenizeText', tokenizer=dict(
        type='HuggingFaceTokenizer', path='weights/all-MiniLM-L6-v2', max_length=40)),
    dict(type='PackRetrievalInputs')]
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeImage', scale=248),
    dict(type='RandomFlipImage', prob=0.5, directions=('horizontal', 'vertical')),
    dict(type='RandomCropImage', size=224), *text_and_pack
]
test_pipeline = [dict(type='LoadImage'), dict(type='ResizeImage', scale=224), *text_and_pack]
train_dataloader = dict(
    batch_size=128, batch_sampler=dict(source=dict(ucm=64), target=dict(rsicd=64)),
    dataset=dict(datasets=[
        dict(_base_.source, pipeline=train_pipeline),
        dict(_base_.target, pipeline=train_pipeline)]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
