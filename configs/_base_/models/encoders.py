# What SIRS, MCRN and AMFMN are made of: an image encoder with maps at several scales (BACKBONE) and
# words (TEXT: gru, minilm, skip-thoughts), with the vocabulary of the dataset (CAPTIONED).
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
image_encoder = dict(
    type='BackboneEncoder', backbone=backbones['{{$BACKBONE:resnet-18}}'], embed_dim=512)
words = dict(
    type='VocabTokenizer',
    vocab_file='data/{{$CAPTIONED:rsitmd}}/annotations/{{$CAPTIONED:rsitmd}}_vocab.json')
minilm = dict(type='HuggingFaceTokenizer', path='weights/all-MiniLM-L6-v2', max_length=40)
texts = {
    'gru': (words, dict(type='GRUTextEncoder', tokenizer=words, pool='max', embed_dim=512)),
    'minilm': (minilm, dict(
        type='HuggingFaceTextEncoder', path='weights/all-MiniLM-L6-v2', embed_dim=512,
        pool='mean')),
    'skip-thoughts': (words, dict(
        type='SkipThoughtsEncoder', tokenizer=words, weights_dir='weights/skip-thoughts',
        embed_dim=512)),
}
text_tokenizer, text_encoder = texts['{{$TEXT:gru}}']
del pretrained, pyramid, backbones, minilm, texts
