# A source with pairs and a target without: 80 and 16 a batch. One epoch is one pass over the target,
# or as many as make 24 steps: ten epochs then have the 240 steps that an adaptation needs.
_base_ = ['../image_text.py']
train_dataloader = dict(
    batch_size=96,
    drop_last=False,
    batch_sampler=dict(type='CrossDomainSampler', min_steps=24),
    dataset=dict(
        _delete_=True, type='ConcatDataset', ignore_keys=['dataset', 'domain', 'split'],
        datasets=[]))
# The first score uses the target's pairs, to watch only; the others do not (docs/adapt.md).
val_evaluator = [dict(type='RecallAtK'), dict(type='LabelFreeMetric')]
test_evaluator = [dict(type='RecallAtK'), dict(type='LabelFreeMetric')]
