# Ten passes over the target (published: 25), the learning rate falls to 0, gradients are clipped.
# The published rate of 1e-7 does not move a model. Weights of the losses (a discriminator) learn
# ten times as fast.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-5, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(custom_keys=dict(adaptation=dict(lr_mult=10))))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=10, convert_to_iter_based=True)]
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=96)
