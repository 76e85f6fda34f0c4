# SIRS as published: captions and class maps of the same images, RSITMD-SS or CAPTIONED=NAME
# (docs/how-to/segmentation.md). Adam, 2e-4, x0.7 every 20 epochs, 35 epochs of 32 pairs.
# Ablations are options: model.pyramid.attention=None, model.pyramid.weighting=None, ...
_base_ = '../_base_/datasets/captioned.py'
train_pipeline = [
    dict(type='LoadImage'), dict(type='LoadSegMap'), *_base_.geometry, *_base_.text_and_pack]
# The class map keeps its own size: predictions are brought to it.
test_pipeline = [
    dict(type='LoadImage'), *_base_.test_geometry, dict(type='LoadSegMap'), *_base_.text_and_pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = [
    dict(type='RecallAtK', topk=(1, 5, 10), ties='expected'), dict(type='SegmentationMetric')]
test_evaluator = val_evaluator
model = dict(
    type='SIRS',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
    image_encoder=_base_.image_encoder,
    text_encoder=_base_.text_encoder,
    head=dict(
        type='RetrievalHead',
        loss=dict(type='PairwiseRankingLoss', margin=0.2, reduction='mean', loss_weight=20.0)),
    pyramid=dict(
        decode_head=dict(
            type='LiteFPNHead', num_classes=15, loss_decode=dict(
                type='mmseg.CrossEntropyLoss', loss_weight=80.0, avg_non_ignore=True)),
        attention=dict(type='SemanticSpatialAttention', gate='logit_sum', pooling='avg'),
        weighting=dict(type='AdaptiveMultiscaleWeighting', weights='mean')))
