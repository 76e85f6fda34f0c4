# MCRN: images, captions and recordings of them in one space (docs/explanation/mcrn.md).
# CAPTIONED=rsitmd, rsicd or ucm; AUDIO=recordings or images (the published spectrograms).
#   after pre-training: --cfg-options load_from=work_dirs/mcrn_pretrain/epoch_40.pth
#   tpt, as published: model.self_consistency=None model.distillation=None model.alignment=None
_base_ = '../_base_/datasets/captioned.py'
listen = dict(
    recordings=dict(type='LoadAudio', max_seconds=5.12),
    images=dict(type='LoadSpectrogramImage', resize=300, size=256))['{{$AUDIO:recordings}}']
listen_test = dict(listen, resize=256) if 'resize' in listen else listen
train_pipeline = [
    dict(type='LoadImage'), *_base_.geometry, listen, dict(type='SpecAugment'),
    *_base_.text_and_pack]
test_pipeline = [
    dict(type='LoadImage'), *_base_.test_geometry, listen_test, *_base_.text_and_pack]
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = dict(pairs=['image-audio', 'image-image', 'text-audio'])
test_evaluator = dict(pairs=['image-audio', 'image-image', 'text-audio'])
default_hooks = dict(checkpoint=dict(save_best='retrieval/mR_pairs'))
model = dict(
    type='MCRN',
    data_preprocessor=dict(
        type='RetrievalDataPreprocessor', stats='imagenet', spectrogram=dict(frames=512),
        image_view=dict(seed=0, zoom=0.92, noise=0.0)),  # for i2i, and for self_consistency
    image_encoder=_base_.image_encoder,
    text_encoder=_base_.text_encoder,
    encoders=dict(audio=dict(
        type='BackboneEncoder', backbone=dict(type='mmpretrain.ResNet', depth=18), embed_dim=512)),
    pyramid=dict(weighting=dict(type='MultiscaleVisualNeck', grid=_base_.image_size // 16)),
    shared=dict(dropout=0.3),
    head=dict(type='RetrievalHead'),  # the pairwise ranking loss
    self_consistency=dict(), distillation=dict(), alignment=dict())
# As published: the shared encoding learns at 3e-4, the encoders at 0.3 of it; 70 epochs of 64.
optim_wrapper = dict(
    optimizer=dict(lr=9e-5), paramwise_cfg=dict(custom_keys=dict(shared=dict(lr_mult=1 / 0.3))))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=70)]
train_cfg = dict(max_epochs=70)
auto_scale_lr = dict(base_batch_size=64)
