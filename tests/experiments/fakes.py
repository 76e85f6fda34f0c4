"""Configs of a few lines, and jobs that train nothing."""

import os
import time
from pathlib import Path

from urbancross_mm.experiments import Job, JobFolder, MatrixSpec, Template

SOURCE = """
epochs = 3
model = dict(type='Model', words='{source}')
pipeline = [dict(type='LoadImage'), dict(type='TokenizeText', tokenizer=dict(vocab='{source}'))]
train_dataloader = dict(dataset=dict(ann_file='{root}/{source}_train.json'))
test_dataloader = dict(
    batch_size=7, dataset=dict(
        type='ImageTextDataset', ann_file='{root}/{target}_test.json', pipeline=pipeline))
test_evaluator = dict(type='RecallAtK')
default_hooks = dict(checkpoint=dict(type='CheckpointHook'))
"""
METHOD = (
    SOURCE
    + """
model.update(adaptation=dict(target='{target}', source_checkpoint='work_dirs/{source}'))
work_dir = 'elsewhere'
"""
)


def write_configs(root: Path, domains: tuple[str, ...] = ('a', 'b', 'c')) -> None:
    """A source config for every domain, and an adaptation config for every direction."""
    for source in domains:
        for target in domains:
            text = (SOURCE if source == target else METHOD).replace('{root}', str(root))
            name = source if source == target else f'{source}2{target}'
            text = text.replace('{source}', source).replace('{target}', target)
            (root / f'{name}.py').write_text(text)
        for split in ('train', 'test'):
            (root / f'{source}_{split}.json').touch()


def spec_of(
    root: Path, domains: tuple[str, ...] = ('a', 'b', 'c'), **settings: object
) -> MatrixSpec:
    """A matrix over the configs, with one method and no control unless settings say otherwise."""
    settings.setdefault('control', False)
    settings.setdefault('methods', {'plain': Template(f'{root}/{{source}}2{{target}}.py')})
    return MatrixSpec(domains, Template(f'{root}/{{source}}.py'), **settings)


def score(job: Job) -> float:
    """What a fake job measures: adaptation wins 2 of the 10 that a transfer loses."""
    lost = {'in-target': 0, 'source-only': 10, 'control': 9, 'plain': 8}.get(job.method, 5)
    return 50.0 - lost + job.seed


def fake_job(job: Job, out: str, select: str) -> str | None:
    """Record a result; the environment says which jobs fail, and who shall die or sleep."""
    folder = JobFolder(out, job, select)
    folder.begin()
    with open(Path(out) / 'order.txt', 'a') as file:
        file.write(f'{job.name}\n')
    if job.name == os.environ.get('FAKE_SLEEP'):
        time.sleep(600)
    if job.name == os.environ.get('FAKE_DEATH'):
        os._exit(9)
    if job.name == os.environ.get('FAKE_FAILURE'):
        folder.fail('no luck')
        return 'no luck'
    if job.trains:
        folder.update(train_seconds=60.0)
    metrics = {'retrieval/mR': score(job), 'retrieval/num_images': 8, 'retrieval/num_texts': 40}
    metrics['label_free/agreement'] = score(job) / 1000
    folder.finish(metrics, f'{job.name}.pth', 1.0)
    return None


def dying_job(job: Job, out: str, select: str) -> str | None:
    """A fake job, of which one dies."""
    os.environ['FAKE_DEATH'] = 'plain_a2b_seed0'
    return fake_job(job, out, select)


def order(out: Path) -> list[str]:
    """Names of the jobs that ran, first to last."""
    file = out / 'order.txt'
    return file.read_text().splitlines() if file.is_file() else []
