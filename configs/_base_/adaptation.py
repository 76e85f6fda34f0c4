# What every method of adaptation shares: model, schedule and hooks.
_base_ = './datasets/source2target.py'

# Segments play no part. The contrastive loss does not depend on the size of the batch, so that
# other losses can stand beside it.
towers = {
    key: part for key, part in _base_.model.items()
    if key not in ('segment_encoder', 'segment_pool', 'eval_fusion')
}
if 'segment_encoder' in _base_.model:
    towers.update(type='CrossModalRetriever', data_preprocessor={
        key: value for key, value in towers['data_preprocessor'].items()
        if not key.startswith(('segment_', 'num_segments'))})
if _base_.adapt.frozen:
    towers.update({
        name: dict(towers[name], frozen=True) for name in ('image_encoder', 'text_encoder')})
if _base_.model.type in ('MCRN', 'MCRNPretrainer', 'AMFMN'):
    raise ValueError(
        f'CONFIG={_base_.config} cannot be adapted: it is no model of two towers (mcrn/)')
if towers['head'].get('loss', {}).get('type') == 'PairwiseRankingLoss':
    towers.update(head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')))
trained = _base_.get('work_dir') or (
    'work_dirs/' + _base_.config.replace('::', '/').rpartition('/')[2].removesuffix('.py'))
model = dict(
    towers,
    _delete_=True,
    adaptation=dict(target=_base_.target, source_checkpoint=trained))

# Ten passes over the target (published: 25), the learning rate falls to 0, gradients are clipped.
# The published rate of 1e-7 does not move a model. Weights of the losses (a discriminator) learn
# ten times as fast.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=_base_.adapt.lr, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(custom_keys=dict(adaptation=dict(lr_mult=10))))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=10, convert_to_iter_based=True)]
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=10, val_interval=1)
auto_scale_lr = dict(enable=False, base_batch_size=_base_.train_dataloader.batch_size)

# Two best checkpoints, to compare: by the target's pairs, and without any label. A tool that is
# given the work directory takes the last one (docs/how-to/adapt.md).
scores = ['retrieval/mR', 'label_free/agreement']
default_hooks = dict(checkpoint=dict(
    interval=1, save_best=scores if _base_.has_captions else scores[1]))
custom_hooks = [*_base_.get('custom_hooks', []), dict(type='MinStepsHook', min_steps=240)]
work_dir = None
direction = f'{trained.rpartition("/")[2]}2{_base_.target}'
del towers, trained, scores
