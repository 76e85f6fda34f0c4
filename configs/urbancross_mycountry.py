# UrbanCross with segments on a country of your own, curated by tools/curate.py (docs/how-to/curate.md).
_base_ = './urbancross_finland.py'
data = dict(data_root=_base_.domains.mycountry)
train_dataloader = dict(dataset=dict(**data, ann_file='annotations/mycountry_train.json'))
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/mycountry_val.json'))
test_dataloader = dict(dataset=dict(**data, ann_file='annotations/mycountry_test.json'))
