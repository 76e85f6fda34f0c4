# UrbanCross's two towers without segments on UCM Captions (not in the paper: RSICD's config).
_base_ = [
    './_base_/models/clip_vit-b-16.py', './_base_/datasets/ucm.py',
    './_base_/schedules/urbancross.py', './_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=40)
train_cfg = dict(max_epochs=15)
