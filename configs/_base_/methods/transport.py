# Optimal transport pairs the images and sentences of the target, beside the retriever's own loss
# on the source.
_base_ = ['../adaptation_runtime.py']
model = dict(adaptation=dict(
    losses=[dict(type='OptimalTransportPairingLoss', eps=0.05, loss_weight=3.0)]))
