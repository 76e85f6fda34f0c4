# From scratch: ResNet-18 and a GRU over the words of RSICD.
words = dict(type='VocabTokenizer', vocab_file='data/rsicd/annotations/rsicd_vocab.json')
retriever = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
    image_encoder=dict(
        type='BackboneEncoder', backbone=dict(type='mmpretrain.ResNet', depth=18),
        in_channels=512, embed_dim=256),
    text_encoder=dict(type='GRUTextEncoder', tokenizer=words, pool='max', embed_dim=256),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
