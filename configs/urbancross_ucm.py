# UrbanCross with segments on UCM Captions (not in the paper: RSICD's config).
_base_ = [
    './_base_/models/urbancross_vit-b-16.py', './_base_/datasets/ucm.py',
    './_base_/schedules/urbancross.py', './_base_/default_runtime.py'
]
train_dataloader = dict(
    batch_size=40, dataset=dict(pipeline={{_base_.segment_train_pipeline}}))
train_cfg = dict(max_epochs=20)
model = dict(data_preprocessor=dict(num_segments=6))
