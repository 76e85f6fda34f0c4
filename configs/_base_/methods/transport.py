# Optimal transport pairs the images and captions of the target, beside the retriever's own loss
# on the source.
_base_ = '../adaptation.py'
model = dict(adaptation=dict(
    losses=[dict(type='OptimalTransportPairingLoss', eps=0.05, loss_weight=3.0)]))
