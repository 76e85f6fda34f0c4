# The same as on UCM, on RSICD.
_base_ = ['./resnet-18_gru_ucm.py']
words = dict(type='VocabTokenizer', vocab_file='data/rsicd/annotations/rsicd_vocab.json')
text_and_pack = [dict(type='TokenizeText', tokenizer=words), dict(type='PackRetrievalInputs')]
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeImage', scale=144),
    dict(type='RandomFlipImage', prob=0.5, directions=('horizontal', 'vertical')),
    dict(type='RandomCropImage', size=128), *text_and_pack
]
test_pipeline = [dict(type='LoadImage'), dict(type='ResizeImage', scale=128), *text_and_pack]
root = dict(data_root='data/rsicd')
train_dataloader = dict(dataset=dict(
    **root, ann_file='annotations/rsicd_train.json', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(
    **root, ann_file='annotations/rsicd_val.json', pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(
    **root, ann_file='annotations/rsicd_test.json', pipeline=test_pipeline))
model = dict(text_encoder=dict(tokenizer=words))
