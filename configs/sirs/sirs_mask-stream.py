# SIRS with captions of one dataset and class maps of another: 24 captioned images and 8 with a map
# in a batch. An epoch is one pass over the captions; the maps come again and again.
#   --cfg-options CAPTIONED=rsicd MASKS=dronedeploy
_base_ = './sirs.py'
captioned, masks = '{{$CAPTIONED:rsitmd}}', '{{$MASKS:dronedeploy}}'
roots = dict(_base_.domains, **_base_.masked)


def streams(split, captions, pipeline):
    """The captioned images without their class maps, if any; then those with maps alone."""
    captioned_pipeline = [step for step in pipeline if step['type'] != 'LoadSegMap']
    return dict(
        _delete_=True, type='ConcatDataset', ignore_keys=['dataset', 'domain', 'split'], datasets=[
            dict(
                type='ImageTextDataset', data_root=roots[name], captions=mode,
                ann_file=f'annotations/{name}_{split}.json', pipeline=steps)
            for name, mode, steps in (
                (captioned, captions, captioned_pipeline), (masks, 'none', pipeline))])


train_dataloader = dict(
    batch_size=32, drop_last=False,
    batch_sampler=dict(
        type='CrossDomainSampler', source={masks: 8}, target={captioned: 24}),
    dataset=streams('train', 'sample', _base_.train_pipeline))
val_dataloader = dict(dataset=streams('val', 'all', _base_.test_pipeline))
test_dataloader = dict(dataset=streams('test', 'all', _base_.test_pipeline))
model = dict(pyramid=dict(decode_head=dict(num_classes=6), attention=dict(background=4)))  # ground
del roots
