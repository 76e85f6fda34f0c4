# UrbanCross adapted from Spain to Finland: curriculum, triplet and adversarial loss.
_base_ = [
    './_base_/methods/curriculum.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/spain2finland.py', './_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='finland', source_checkpoint='work_dirs/urbancross_spain'))
