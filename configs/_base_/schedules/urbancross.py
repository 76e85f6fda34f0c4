# Adam, 1e-5, x0.7 every 20 epochs, no warm-up: the published config. Leaves set max_epochs.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5))
param_scheduler = [dict(type='StepLR', by_epoch=True, step_size=20, gamma=0.7)]
train_cfg = dict(by_epoch=True, max_epochs=15, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=40)
