# Pairs of UCM; images and sentences of RSICD, which are not paired.
_base_ = ['./source2target.py']
source = dict(
    type='ImageTextDataset', data_root='data/ucm', ann_file='annotations/ucm_train.json',
    captions='sample', pipeline={{_base_.train_pipeline}})
target = dict(
    type='UnpairedDataset', data_root='data/rsicd', ann_file='annotations/rsicd_train.json',
    pipeline={{_base_.train_pipeline}})
train_dataloader = dict(
    batch_sampler=dict(source=dict(ucm=80), target=dict(rsicd=16)),
    dataset=dict(datasets=[source, target]))
val_dataloader = dict(
    dataset=dict(data_root='data/rsicd', ann_file='annotations/rsicd_val.json'))
test_dataloader = dict(
    dataset=dict(data_root='data/rsicd', ann_file='annotations/rsicd_test.json'))
