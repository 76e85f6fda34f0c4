# UrbanCross with segments on the three countries together.
_base_ = [
    './_base_/models/urbancross_vit-b-16.py', './_base_/datasets/integration.py',
    './_base_/schedules/urbancross.py', './_base_/default_runtime.py'
]
train_dataloader = dict(
    batch_size=40, dataset=dict(datasets=_base_.segment_train_datasets))
train_cfg = dict(max_epochs=15)
