# SIRS: maps of BACKBONE, words through a GRU (or TEXT=minilm), a segmentation of 15 classes, SSA, AMW.
# Ablations are options: model.pyramid.attention=None, model.pyramid.weighting=None, ...
def pretrained(file):
    return dict(type='Pretrained', checkpoint=f'weights/{file}', prefix='backbone.')


pyramid = dict(out_indices=(0, 1, 2, 3))
backbones = {
    'resnet-18': dict(
        type='mmpretrain.ResNet', depth=18, init_cfg=pretrained('resnet18_mmpretrain.pth'),
        **pyramid),
    'resnet-50': dict(
        type='mmpretrain.ResNet', depth=50, init_cfg=pretrained('resnet50_mmpretrain.pth'),
        **pyramid),
    'mit-b0': dict(
        type='mmseg.MixVisionTransformer', embed_dims=32, num_layers=[2, 2, 2, 2],
        num_heads=[1, 2, 5, 8], init_cfg=pretrained('mit_b0_mmseg.pth'), **pyramid),
    'swin-t': dict(
        type='mmpretrain.SwinTransformer', arch='tiny', img_size={{'$IMAGE_SIZE:256'}},
        init_cfg=pretrained('swin_tiny_mmpretrain.pth'), **pyramid),
    'efficientnet-lite2': dict(
        type='mmpretrain.TIMMBackbone', model_name='tf_efficientnet_lite2', features_only=True,
        out_indices=(1, 2, 3, 4), init_cfg=dict(
            type='Pretrained', checkpoint='weights/efficientnet_lite2_timm.pth')),
}
words = dict(
    type='VocabTokenizer',
    vocab_file='data/{{$CAPTIONED:rsitmd}}/annotations/{{$CAPTIONED:rsitmd}}_vocab.json')
minilm = dict(type='HuggingFaceTokenizer', path='weights/all-MiniLM-L6-v2', max_length=40)
texts = dict(
    gru=(words, dict(type='GRUTextEncoder', tokenizer=words, pool='max', embed_dim=512)),
    minilm=(minilm, dict(
        type='HuggingFaceTextEncoder', path='weights/all-MiniLM-L6-v2', embed_dim=512,
        pool='mean')))
sirs_tokenizer, text_encoder = texts['{{$TEXT:gru}}']
model = dict(
    type='SIRS',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
    image_encoder=dict(
        type='BackboneEncoder', backbone=backbones['{{$BACKBONE:resnet-18}}'], embed_dim=512),
    text_encoder=text_encoder,
    head=dict(
        type='RetrievalHead',
        loss=dict(type='PairwiseRankingLoss', margin=0.2, reduction='mean', loss_weight=20.0)),
    pyramid=dict(
        decode_head=dict(
            type='LiteFPNHead', num_classes=15, loss_decode=dict(
                type='mmseg.CrossEntropyLoss', loss_weight=80.0, avg_non_ignore=True)),
        attention=dict(type='SemanticSpatialAttention', gate='logit_sum', pooling='avg'),
        weighting=dict(type='AdaptiveMultiscaleWeighting', weights='mean')))
del pretrained, pyramid, backbones, minilm, texts
