# Five passes over the target, a constant learning rate, clipped gradients. The published 1e-7
# does not move a model. Weights of the losses (a discriminator) learn ten times as fast.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-5, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(custom_keys=dict(adaptation=dict(lr_mult=10))))
param_scheduler = []
train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=96)
