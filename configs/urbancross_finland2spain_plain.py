# UrbanCross adapted from Finland to Spain without a curriculum.
_base_ = [
    './_base_/methods/plain.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/finland2spain.py', './_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='spain', source_checkpoint='work_dirs/urbancross_finland'))
