# The three countries in one training set and one gallery; metrics come for all and for each.
_base_ = ['./image_text.py']
common = dict(type='ImageTextDataset')
finland = dict(**common, data_root='data/urbancross/Finland')
germany = dict(**common, data_root='data/urbancross/Germany')
spain = dict(**common, data_root='data/urbancross/Spain')
train_datasets = [
    dict(**finland, ann_file='annotations/finland_train.json', captions='each',
         pipeline={{_base_.train_pipeline}}),
    dict(**germany, ann_file='annotations/germany_train.json', captions='each',
         pipeline={{_base_.train_pipeline}}),
    dict(**spain, ann_file='annotations/spain_train.json', captions='each',
         pipeline={{_base_.train_pipeline}}),
]
segment_train_datasets = [
    dict(**finland, ann_file='annotations/finland_train.json', captions='each',
         pipeline={{_base_.segment_train_pipeline}}),
    dict(**germany, ann_file='annotations/germany_train.json', captions='each',
         pipeline={{_base_.segment_train_pipeline}}),
    dict(**spain, ann_file='annotations/spain_train.json', captions='each',
         pipeline={{_base_.segment_train_pipeline}}),
]
val_datasets = [
    dict(**finland, ann_file='annotations/finland_val.json', captions='all',
         pipeline={{_base_.test_pipeline}}),
    dict(**germany, ann_file='annotations/germany_val.json', captions='all',
         pipeline={{_base_.test_pipeline}}),
    dict(**spain, ann_file='annotations/spain_val.json', captions='all',
         pipeline={{_base_.test_pipeline}}),
]
test_datasets = [
    dict(**finland, ann_file='annotations/finland_test.json', captions='all',
         pipeline={{_base_.test_pipeline}}),
    dict(**germany, ann_file='annotations/germany_test.json', captions='all',
         pipeline={{_base_.test_pipeline}}),
    dict(**spain, ann_file='annotations/spain_test.json', captions='all',
         pipeline={{_base_.test_pipeline}}),
]
# Each set keeps its own name, domain and split.
own = ['dataset', 'domain', 'split']
train_dataloader = dict(dataset=dict(
    _delete_=True, type='ConcatDataset', ignore_keys=own, datasets=train_datasets))
val_dataloader = dict(dataset=dict(
    _delete_=True, type='ConcatDataset', ignore_keys=own, datasets=val_datasets))
test_dataloader = dict(dataset=dict(
    _delete_=True, type='ConcatDataset', ignore_keys=own, datasets=test_datasets))
