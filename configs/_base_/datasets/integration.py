# The three countries in one training set and one gallery; metrics come for all and for each.
_base_ = './image_text.py'
countries = ('finland', 'germany', 'spain')


def datasets_of(split, captions, pipeline):
    return [
        dict(
            type='ImageTextDataset',
            data_root=_base_.domains[name],
            ann_file=f'annotations/{name}_{split}.json',
            captions=captions,
            pipeline=pipeline) for name in countries
    ]


segment_train_datasets = datasets_of('train', 'each', _base_.segment_train_pipeline)
# Each dataset keeps its own name, domain and split.
concatenated = dict(
    _delete_=True, type='ConcatDataset', ignore_keys=['dataset', 'domain', 'split'])
train_dataloader = dict(dataset=dict(
    concatenated, datasets=datasets_of('train', 'each', _base_.train_pipeline)))
val_dataloader = dict(dataset=dict(
    concatenated, datasets=datasets_of('val', 'all', _base_.test_pipeline)))
test_dataloader = dict(dataset=dict(
    concatenated, datasets=datasets_of('test', 'all', _base_.test_pipeline)))
del countries, concatenated
