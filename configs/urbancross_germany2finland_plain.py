# UrbanCross adapted from Germany to Finland without a curriculum.
_base_ = [
    './_base_/methods/plain.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/germany2finland.py', './_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='finland', source_checkpoint='work_dirs/urbancross_germany'))
