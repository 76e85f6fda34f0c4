# Train any config on another dataset: a name of _base_/domains.py, or a folder (docs/how-to/dataset.md):
#   python tools/train.py configs/own_dataset.py --cfg-options CONFIG=urbancross_rsicd.py DATASET=data/porto
import difflib, os

_base_ = '{{$CONFIG:urbancross_finland.py}}'
config, name = '{{$CONFIG:urbancross_finland.py}}', '{{$DATASET:mycountry}}'
folder = _base_.domains.get(name, name)
if 'batch_sampler' in _base_.train_dataloader:
    raise ValueError(f'CONFIG={config} reads two datasets: set CAPTIONED=NAME with it instead')
if folder == name:
    if '/' not in folder and not os.path.isdir(folder):  # --sample moves data/ later
        close = difflib.get_close_matches(name, _base_.domains, n=1)
        hint = f'; did you mean {close[0]}' if close else ''
        raise ValueError(
            f'DATASET={name} is no folder and no name in domains.py{hint}: {[*_base_.domains]}')
    name = os.path.basename(os.path.abspath(folder)).lower()
own = dict(
    **{kind: dict(file=f'{folder}/features.npz') for kind in ('LoadFeatures', 'FeatureTokenizer')},
    VocabTokenizer=dict(vocab_file=f'{folder}/annotations/{name}_vocab.json'))


def on_own(step):
    """A step, or a tokenizer, with the files of the dataset."""
    step = dict(step, **own.get(step['type'], {}))
    return dict(step, tokenizer=on_own(step['tokenizer'])) if 'tokenizer' in step else step


def loader_of(loader, split):
    first = loader.dataset.get('datasets', [loader.dataset])[0]
    return dict(dataset=dict(
        first, _delete_=True, data_root=folder, ann_file=f'annotations/{name}_{split}.json',
        pipeline=[on_own(step) for step in first.pipeline]))


train_dataloader = loader_of(_base_.train_dataloader, 'train')
val_dataloader = loader_of(_base_.val_dataloader, 'val')
test_dataloader = loader_of(_base_.test_dataloader, 'test')
data, model = dict(data_root=folder), dict(text_encoder=on_own(_base_.model.text_encoder))
work_dir = f'work_dirs/{config.replace("::", "/").rpartition("/")[2].removesuffix(".py")}_on_{name}'
del config, folder, name, own
