"""A hand-made descriptor of a clip, and a linear SVM: the recognizers from before networks.

The papers say "linear SVM" with default settings; here that is scikit-learn's ``SVC`` (LIBSVM, one
class against one), kernel linear, C = 1, no class weights, features as the descriptor gives them.
It is solved without chance: there is no seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

COST = 1.0  # C of LIBSVM and of scikit-learn, where none is said


class Descriptor(NamedTuple):
    """A function of one view of a clip -> (length,) float32, the view's name, the length."""

    describe: Callable[[Any], NDArray[np.float32]]
    view: str
    length: int


class DescriptorSvm:
    """Fits a linear SVM to what DESCRIPTOR says of clips; ``fit`` before ``predict``."""

    def __init__(self, descriptor: Descriptor, *, cost: float = COST) -> None:
        from sklearn.svm import SVC

        self.descriptor = descriptor
        self.svm = SVC(kernel="linear", C=cost)

    def fit(self, views: Iterable[Any], labels: ArrayLike) -> DescriptorSvm:
        """Learn the classes LABELS (N,) of N VIEWS, as the descriptor takes them; itself."""
        known = np.asarray(labels)
        if len(np.unique(known)) < 2:
            raise ValueError(
                f"labels {np.unique(known).tolist()}: an SVM parts at least two classes"
            )
        self.svm.fit(self.describe(views), known)
        return self

    def predict(self, views: Iterable[Any]) -> NDArray[np.int64]:
        """N VIEWS -> (N,) int64, one of the classes that were learned."""
        answers: NDArray[np.int64] = self.svm.predict(self.describe(views)).astype(np.int64)
        return answers

    def describe(self, views: Iterable[Any]) -> NDArray[np.float32]:
        """N VIEWS -> (N, length) float32."""
        return np.stack([self.descriptor.describe(view) for view in views])
