# UrbanCross with segments on a country of your own, curated by tools/curate.py (docs/curate.md).
_base_ = [
    './_base_/models/urbancross_vit-b-16.py', './_base_/datasets/mycountry.py',
    './_base_/schedules/urbancross.py', './_base_/default_runtime.py'
]
train_dataloader = dict(
    batch_size=40, dataset=dict(pipeline={{_base_.segment_train_pipeline}}))
train_cfg = dict(max_epochs=15)
