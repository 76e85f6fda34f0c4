# CLIP's two towers, no segments. Any other encoder goes in by type (docs/how-to/encoder.md).
clip = dict(model_name='ViT-B-16', pretrained='laion2b_s34b_b88k')
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='clip'),
    image_encoder=dict(
        type='OpenCLIPImageEncoder', image_size={{'$IMAGE_SIZE:224'}}, **clip),
    text_encoder=dict(type='OpenCLIPTextEncoder', **clip),
    head=dict(
        type='RetrievalHead',
        loss=dict(type='PairwiseRankingLoss', margin=0.2, negatives='all', reduction='sum')))
