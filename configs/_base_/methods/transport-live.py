# Optimal transport pairs a batch and a memory of target images and captions anew at every step,
# beside the retriever's own loss on the source.
_base_ = '../adaptation.py'
model = dict(adaptation=dict(
    losses=[dict(type='OptimalTransportPairingLoss', eps=0.05, loss_weight=3.0)]))
