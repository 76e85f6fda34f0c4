# UrbanCross adapted from UCM to RSICD: curriculum, triplet and adversarial loss.
_base_ = [
    './_base_/methods/curriculum.py', './_base_/retrievers/clip_vit-b-16.py',
    './_base_/datasets/adaptation/ucm2rsicd.py', './_base_/schedules/adaptation.py'
]
model = dict(
    **_base_.retriever,
    adaptation=dict(target='rsicd', source_checkpoint='work_dirs/urbancross_ucm'))
