# The first stage of MCRN: every modality for itself, against a discriminator of modalities; then
# mcrn.py with load_from. From captioned data, or any images, texts and sound (docs/how-to/pretrain.md).
# model.contrastive=True is the variant with negatives.
_base_ = './mcrn.py'
model = dict(
    type='MCRNPretrainer', data_preprocessor=dict(image_view=None), head=None,
    self_consistency=None, distillation=None, alignment=None)
optim_wrapper = dict(
    _delete_=True, constructor='AdversarialOptimWrapperConstructor',
    encoders=dict(optimizer=dict(type='Adam', lr=2e-4)),
    discriminator=dict(optimizer=dict(type='Adam', lr=2e-4)))
steps = [dict(type='StepLR', by_epoch=True, step_size=20, gamma=0.8)]
param_scheduler = dict(_delete_=True, encoders=steps, discriminator=steps)
train_cfg = dict(max_epochs=40)
val_evaluator = dict(_delete_=True, type='ModalGapMetric')
test_evaluator = dict(_delete_=True, type='ModalGapMetric')
default_hooks = dict(checkpoint=dict(save_best=None, rule=None))  # no score chooses a pre-training
