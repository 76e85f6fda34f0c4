# Optimal transport pairs all images and captions of the target once, by the source model and by
# what is alike within each modality. The plan is trained on, beside the retriever's own loss on
# the source.
_base_ = '../adaptation.py'
model = dict(adaptation=dict(losses=[dict(type='PlannedPairingLoss', loss_weight=3.0)]))
custom_hooks = [*_base_.custom_hooks, dict(type='TargetPlanHook')]
