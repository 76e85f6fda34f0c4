# A city of your own: uncaptioned tiles and sentences (data/mycity, see docs/adapt.md), from Finland.
# There are no pairs to validate on: scores without labels are logged, the last checkpoint counts.
_base_ = [
    '../_base_/methods/transport.py', '../_base_/retrievers/clip_vit-b-16.py',
    '../_base_/datasets/adaptation/source2target.py', '../_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='mycity', source_checkpoint='work_dirs/urbancross_finland'))
source = dict(
    type='ImageTextDataset', data_root='data/urbancross/Finland',
    ann_file='annotations/finland_train.json', captions='each',
    pipeline={{_base_.train_pipeline}})
city = dict(
    type='UnpairedDataset', data_root='data/mycity', text_file='annotations/mycity_texts.txt')
target = dict(
    **city, ann_file='annotations/mycity_train.json', pipeline={{_base_.train_pipeline}})
aside = dict(
    _delete_=True, **city, ann_file='annotations/mycity_val.json', test_mode=True,
    pipeline={{_base_.test_pipeline}})
train_dataloader = dict(
    batch_size=128,
    batch_sampler=dict(source=dict(finland=64), target=dict(mycity=64)),
    dataset=dict(datasets=[source, target]))
val_dataloader = dict(dataset=aside)
test_dataloader = dict(dataset=aside)
val_evaluator = dict(_delete_=True, type='LabelFreeMetric')
test_evaluator = dict(_delete_=True, type='LabelFreeMetric')
default_hooks = dict(checkpoint=dict(save_best='label_free/agreement'))
auto_scale_lr = dict(base_batch_size=128)
