# AMFMN: a text has another vector for each image (docs/explanation/evaluation.md#scores-of-pairs).
# CAPTIONED=rsitmd, rsicd or ucm; GATE=soft, fusion or sim. On RSICD optim_wrapper.optimizer.lr=1e-4.
#   as released: model.head.loss.reduction=sum
_base_ = '../_base_/datasets/captioned.py'
train_dataloader = dict(batch_size=100)
model = dict(
    type='AMFMN',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
    image_encoder=_base_.image_encoder,
    text_encoder=_base_.text_encoder,
    pyramid=dict(weighting=dict(type='MultiscaleVisualNeck', grid=_base_.image_size // 16)),
    attention=dict(gate='{{$GATE:soft}}'),
    head=dict(
        type='RetrievalHead',
        loss=dict(type='PairwiseRankingLoss', margin=0.2, reduction='mean')))
train_cfg = dict(max_epochs=70)
auto_scale_lr = dict(base_batch_size=100)
