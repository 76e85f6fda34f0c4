# One of three folds of UCM's training list; run it with each fold and average:
#   --cfg-options train_dataloader.dataset.fold=1 val_dataloader.dataset.fold=1
# Needs ucm_trainval.json (precomp.py --trainval). Items are images in both phases, so no image
# is in both parts.
_base_ = ['./resnet-18_gru_ucm.py']
folds = dict(type='mmpretrain.KFoldDataset', fold=0, num_splits=3, seed=0)
images = dict(
    type='ImageTextDataset', data_root=_base_.domains.ucm, ann_file='annotations/ucm_trainval.json')
train_dataloader = dict(dataset=dict(_delete_=True, **folds, test_mode=False, dataset=dict(
    **images, captions='sample', pipeline={{_base_.train_pipeline}})))
val_dataloader = dict(dataset=dict(_delete_=True, **folds, test_mode=True, dataset=dict(
    **images, captions='all', pipeline={{_base_.test_pipeline}})))
