# UrbanCross adapted from Finland to Germany: curriculum, triplet and adversarial loss.
_base_ = [
    './_base_/methods/curriculum.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/finland2germany.py', './_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='germany', source_checkpoint='work_dirs/urbancross_finland'))
