# UrbanCross's two towers without segments on the three countries together.
_base_ = [
    './_base_/models/clip_vit-b-16.py', './_base_/datasets/integration.py',
    './_base_/schedules/urbancross.py', './_base_/default_runtime.py'
]
train_dataloader = dict(batch_size=45)
train_cfg = dict(max_epochs=45)
auto_scale_lr = dict(base_batch_size=45)
