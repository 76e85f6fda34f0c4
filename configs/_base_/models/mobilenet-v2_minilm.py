# ImageNet MobileNetV2 and the sentence encoder all-MiniLM-L6-v2, both tuned.
# weights/: tools/model_converters/torchvision_to_mmpretrain.py makes the first, the second is the
# transformers folder. BatchNorm stays in eval mode (norm_eval): batches are small.
minilm_tokenizer = dict(
    type='HuggingFaceTokenizer', path='weights/all-MiniLM-L6-v2', max_length=40)
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
    image_encoder=dict(
        type='BackboneEncoder', norm_eval=True, in_channels=1280, embed_dim=512,
        backbone=dict(type='mmpretrain.MobileNetV2', init_cfg=dict(
            type='Pretrained', prefix='backbone.',
            checkpoint='weights/mobilenet_v2_mmpretrain.pth'))),
    text_encoder=dict(
        type='HuggingFaceTextEncoder', path='weights/all-MiniLM-L6-v2', embed_dim=512, pool='mean'),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
# Only the projections: on RSICD and UCM (docs/results/index.md) an adaptation that tunes the image
# encoder as well forgets as much as it gains.
adapt = dict(lr=3e-4, balanced=True, frozen=True)
