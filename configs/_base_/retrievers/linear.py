# One linear projection each on frozen MobileNetV2 and MiniLM features, to be adapted.
retriever = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor'),
    image_encoder=dict(type='FeatureEncoder', in_channels=1280, embed_dim=512, dropout=0.3),
    text_encoder=dict(type='FeatureEncoder', in_channels=384, embed_dim=512, dropout=0.3),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
