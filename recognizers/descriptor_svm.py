"""A hand-made descriptor of a clip, and a linear SVM: the recognizers from before networks.

The papers say "linear SVM" with default settings; here that is scikit-learn's ``SVC`` (LIBSVM, one
class against one), kernel linear, C = 1, no class weights, features as the descriptor gives them.
It is solved without chance: there is no seed. What it has learned is kept as planes, one for two
classes, and answers are LIBSVM's own vote by these: so it can be written and read as plain numbers.
"""

from __future__ import annotations

import itertools
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


class Planes(NamedTuple):
    """What parts K classes, for all pairs in the order of ``itertools.combinations``.

    ``classes`` (K,) int64, ascending; ``normals`` (K (K - 1) / 2, length) and ``offsets`` float64:
    where normal . features + offset is above 0 the pair's first class has the vote.
    """

    classes: NDArray[np.int64]
    normals: NDArray[np.float64]
    offsets: NDArray[np.float64]


class DescriptorSvm:
    """A linear SVM on what DESCRIPTOR says of clips: ``fit`` before ``predict``, or give PLANES."""

    def __init__(
        self, descriptor: Descriptor, *, cost: float = COST, planes: Planes | None = None
    ) -> None:
        self.descriptor = descriptor
        self.cost = cost
        self.planes = planes

    def fit(self, views: Iterable[Any], labels: ArrayLike) -> DescriptorSvm:
        """Learn the classes LABELS (N,) of N VIEWS, as the descriptor takes them; itself."""
        from sklearn.svm import SVC

        known = np.asarray(labels)
        if len(np.unique(known)) < 2:
            raise ValueError(
                f"labels {np.unique(known).tolist()}: an SVM parts at least two classes"
            )
        svm = SVC(kernel="linear", C=self.cost).fit(self.describe(views), known)
        # Of two classes alone scikit-learn turns the plane round: there the second is above 0.
        sign = -1 if len(svm.classes_) == 2 else 1
        self.planes = Planes(
            svm.classes_.astype(np.int64),
            np.asarray(sign * svm.coef_, np.float64),
            np.asarray(sign * svm.intercept_, np.float64),
        )
        return self

    def predict(self, views: Iterable[Any]) -> NDArray[np.int64]:
        """N VIEWS -> (N,) int64, one of the classes that were learned; of equal votes the first."""
        if self.planes is None:
            raise ValueError("this SVM has learned nothing: fit it first")
        classes, normals, offsets = self.planes
        sides = self.describe(views).astype(np.float64) @ normals.T + offsets > 0
        votes = np.zeros((len(sides), len(classes)), np.int64)
        for side, (one, other) in zip(
            sides.T, itertools.combinations(range(len(classes)), 2), strict=True
        ):
            votes[:, one] += side
            votes[:, other] += ~side
        answers: NDArray[np.int64] = classes[votes.argmax(axis=1)]
        return answers

    def describe(self, views: Iterable[Any]) -> NDArray[np.float32]:
        """N VIEWS -> (N, length) float32."""
        return np.stack([self.descriptor.describe(view) for view in views])
