# The same as on UCM, on RSICD, over the words of RSICD.
_base_ = './resnet-18_gru_ucm.py'
words = dict(type='VocabTokenizer', vocab_file='data/rsicd/annotations/rsicd_vocab.json')
text_and_pack = [dict(type='TokenizeText', tokenizer=words), dict(type='PackRetrievalInputs')]
train_pipeline = [dict(type='LoadImage'), *_base_.geometry, *text_and_pack]
test_pipeline = [*_base_.test_pipeline[:2], *text_and_pack]
data = dict(data_root=_base_.domains.rsicd)
train_dataloader = dict(dataset=dict(
    **data, ann_file='annotations/rsicd_train.json', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(
    **data, ann_file='annotations/rsicd_val.json', pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(
    **data, ann_file='annotations/rsicd_test.json', pipeline=test_pipeline))
model = dict(text_encoder=dict(tokenizer=words))
