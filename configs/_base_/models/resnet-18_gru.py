# From scratch: ResNet-18 and a GRU over the words of UCM.
words = dict(type='VocabTokenizer', vocab_file='data/ucm/annotations/ucm_vocab.json')
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
    image_encoder=dict(
        type='BackboneEncoder', backbone=dict(type='mmpretrain.ResNet', depth=18),
        in_channels=512, embed_dim=256),
    text_encoder=dict(type='GRUTextEncoder', tokenizer=words, pool='max', embed_dim=256),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
adapt = dict(lr=3e-4, balanced=True)
