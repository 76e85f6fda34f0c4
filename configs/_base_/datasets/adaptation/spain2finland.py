# Pairs of Spain; images and sentences of Finland, which are not paired.
_base_ = ['./source2target.py']
source = dict(
    type='ImageTextDataset', data_root='data/urbancross/Spain', ann_file='annotations/spain_train.json',
    captions='each', pipeline={{_base_.train_pipeline}})
target = dict(
    type='UnpairedDataset', data_root='data/urbancross/Finland', ann_file='annotations/finland_train.json',
    pipeline={{_base_.train_pipeline}})
train_dataloader = dict(
    batch_sampler=dict(source=dict(spain=80), target=dict(finland=16)),
    dataset=dict(datasets=[source, target]))
val_dataloader = dict(
    dataset=dict(data_root='data/urbancross/Finland', ann_file='annotations/finland_val.json'))
test_dataloader = dict(
    dataset=dict(data_root='data/urbancross/Finland', ann_file='annotations/finland_test.json'))
