# As resnet-18_gru.py, over the words of UCM.
_base_ = ['./resnet-18_gru.py']
words = dict(type='VocabTokenizer', vocab_file='data/ucm/annotations/ucm_vocab.json')
retriever = dict(text_encoder=dict(tokenizer=words))
