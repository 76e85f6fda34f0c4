# MK-MMD between source and target in each modality, beside the retriever's own loss on the source.
_base_ = '../adaptation.py'
model = dict(adaptation=dict(
    losses=[dict(type='DomainDistanceLoss', distance='mk_mmd')]))
