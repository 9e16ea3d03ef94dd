"""What is installed, what runs where, what is missing and how to get it: ``mie-x doctor``."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from mie_x import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "facenet-pytorch",
    "py-feat",
    "numpy",
    "pandas",
    "pyarrow",
    "pillow",
    "joblib",
    "click",
)


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, whether it is well, and what to do if not."""

    name: str
    well: bool
    detail: str


def findings() -> list[Finding]:
    """Look at everything ``mie-x`` needs."""
    return [
        Finding("mie-x", True, f"{__version__}, Python {platform.python_version()}"),
        *[_package(name) for name in PACKAGES],
        _device(),
        _weights(),
        _estimator(),
        _detector(),
        Finding("cores", True, f"{os.cpu_count()}: as many --workers make sense"),
    ]


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, f"missing; pip install {name}")


def _device() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("device", False, f"torch does not load ({error}); pip install torch")
    if torch.cuda.is_available():
        return Finding("device", True, f"cuda: {torch.cuda.get_device_name()}")
    return Finding("device", True, "cpu (no CUDA device; everything runs, more slowly)")


def _weights() -> Finding:
    try:
        from ganimation.checkpoints import load_generator

        loaded = load_generator(None)
    except (ImportError, OSError, ValueError) as error:
        return Finding("weights", False, str(error))
    return Finding("weights", True, f"{loaded.name}, SHA-256 {loaded.sha256[:16]}...")


def _estimator() -> Finding:
    try:
        from au_sources.estimator import SHIPPED, load_estimator

        loaded = load_estimator(None)
    except (ImportError, OSError, ValueError) as error:
        return Finding("AU estimator", False, str(error))
    return Finding("AU estimator", True, f"{SHIPPED.name}, SHA-256 {loaded.sha256[:16]}...")


def _detector() -> Finding:
    try:
        from facenet_pytorch import MTCNN

        MTCNN(device="cpu")
    except (ImportError, OSError) as error:
        remedy = "pip install 'facenet-pytorch>=2.5.3,<2.6'"
        return Finding("face detector", False, f"MTCNN does not load ({error}); {remedy}")
    return Finding("face detector", True, "MTCNN, weights come with facenet-pytorch")
