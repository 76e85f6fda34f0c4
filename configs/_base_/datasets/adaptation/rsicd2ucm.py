# Pairs of RSICD; images and sentences of UCM, which are not paired.
_base_ = ['./source2target.py']
source = dict(
    type='ImageTextDataset', data_root='data/rsicd', ann_file='annotations/rsicd_train.json',
    captions='sample', pipeline={{_base_.train_pipeline}})
target = dict(
    type='UnpairedDataset', data_root='data/ucm', ann_file='annotations/ucm_train.json',
    pipeline={{_base_.train_pipeline}})
train_dataloader = dict(
    batch_sampler=dict(source=dict(rsicd=80), target=dict(ucm=16)),
    dataset=dict(datasets=[source, target]))
val_dataloader = dict(
    dataset=dict(data_root='data/ucm', ann_file='annotations/ucm_val.json'))
test_dataloader = dict(
    dataset=dict(data_root='data/ucm', ann_file='annotations/ucm_test.json'))
