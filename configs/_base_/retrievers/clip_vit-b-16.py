# CLIP's two towers, to be adapted; its segments play no part. The contrastive loss does not depend
# on the size of the batch, so that other losses can stand beside it.
clip = dict(model_name='ViT-B-16', pretrained='laion2b_s34b_b88k')
retriever = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='clip'),
    image_encoder=dict(type='OpenCLIPImageEncoder', **clip),
    text_encoder=dict(type='OpenCLIPTextEncoder', **clip),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
