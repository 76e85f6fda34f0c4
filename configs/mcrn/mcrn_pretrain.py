# The first stage of MCRN: every modality for itself, against a discriminator of modalities; then
# mcrn.py with load_from. model.contrastive=True is the variant with negatives.
_base_ = './mcrn.py'
model = dict(
    type='MCRNPretrainer', head=None, self_consistency=None, distillation=None, alignment=None)
optim_wrapper = dict(
    _delete_=True, constructor='AdversarialOptimWrapperConstructor',
    encoders=dict(optimizer=dict(type='Adam', lr=2e-4)),
    discriminator=dict(optimizer=dict(type='Adam', lr=2e-4)))
steps = [dict(type='StepLR', by_epoch=True, step_size=20, gamma=0.8)]
param_scheduler = dict(_delete_=True, encoders=steps, discriminator=steps)
train_cfg = dict(max_epochs=40)
