"""The three kinds of models that the search fits: their settings, and their files without pickle.

A fitted model is its numbers: weights, or the nodes of trees. What is read back is scikit-learn's own estimator with
these numbers, so it predicts at scikit-learn's own speed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from stackyard_tabular.handed_on import HandedOn
from stackyard_tabular.stages.genetic import Gene
from stackyard_task.channel import BadInput

#: Model -> what is searched, and with what the search begins: scikit-learn's defaults.
SPACES: Mapping[str, Tuple[Tuple[Gene, ...], Mapping[str, Any]]] = {
    "logistic_regression": (
        (Gene("C", low=1e-3, high=1e3, log=True), Gene("l1_ratio", values=(0.0, 1.0))),
        {"C": 1.0, "l1_ratio": 0.0},
    ),
    "random_forest": (
        (
            Gene("n_estimators", low=50, high=200, whole=True),
            Gene("max_depth", values=(None, 8, 16, 32)),
            Gene("min_samples_leaf", low=1, high=8, whole=True),
        ),
        {"n_estimators": 100, "max_depth": None, "min_samples_leaf": 1},
    ),
    "mlp": (
        (
            Gene("hidden", low=50, high=200, whole=True),
            Gene("alpha", low=1e-5, high=1e-1, log=True),
            Gene("learning_rate_init", low=1e-4, high=1e-2, log=True),
        ),
        {"hidden": 100, "alpha": 1e-4, "learning_rate_init": 1e-3},
    ),
}
#: Fields of a tree's nodes that are kept, in scikit-learn's names.
_NODES = "left_child right_child feature threshold impurity n_node_samples weighted_n_node_samples missing_go_to_left"


def make(
    kind: str, settings: Mapping[str, Any], seed: int, max_iterations: Optional[int], jobs: int = 1
) -> Any:
    """An estimator that is not fitted yet.

    Args:
        kind: A name of ``SPACES``.
        settings: A value of each of its genes.
        seed: Of weights, trees and order.
        max_iterations: Passes of logistic regression and MLP; ``None``: scikit-learn's default.
        jobs: Threads that grow trees.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    bounded = {} if max_iterations is None else {"max_iter": max_iterations}
    if kind == "logistic_regression":
        return LogisticRegression(solver="saga", random_state=seed, **settings, **bounded)
    if kind == "random_forest":
        return RandomForestClassifier(random_state=seed, n_jobs=jobs, **settings)
    inner = {name: value for name, value in settings.items() if name != "hidden"}
    return MLPClassifier(hidden_layer_sizes=(settings["hidden"],), random_state=seed, **inner, **bounded)


def arrays(kind: str, estimator: Any) -> Dict[str, Any]:
    """The numbers of a fitted estimator, by names of arrays."""
    import numpy as np

    if kind == "logistic_regression":
        return {"classes": estimator.classes_, "coef": estimator.coef_, "intercept": estimator.intercept_}
    if kind == "mlp":
        layers = {f"coef_{index}": one for index, one in enumerate(estimator.coefs_)}
        layers.update({f"intercept_{index}": one for index, one in enumerate(estimator.intercepts_)})
        return {"classes": estimator.classes_, **layers}
    states = [tree.tree_.__getstate__() for tree in estimator.estimators_]
    nodes = np.concatenate([state["nodes"] for state in states])
    return {
        "classes": estimator.classes_,
        "counts": np.array([state["node_count"] for state in states]),
        "depths": np.array([state["max_depth"] for state in states]),
        "values": np.concatenate([state["values"] for state in states]),
        "features": np.array(estimator.n_features_in_),
        **{name: np.ascontiguousarray(nodes[name]) for name in _NODES.split()},
    }


def load(given: HandedOn, name: str, kind: str, features: int) -> Any:
    """The estimator whose numbers are in the file ``name``.

    Raises:
        BadInput: the file holds no such model, or one of other features.
    """
    found = given.arrays(name)
    where = given.folder / name
    try:
        estimator = {"logistic_regression": _linear, "random_forest": _forest, "mlp": _mlp}[kind](found)
        fits = estimator.n_features_in_ == features
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise BadInput(f"{where}: holds no {kind} ({error})") from error
    if not fits:
        raise BadInput(
            f"{where}: the model takes {estimator.n_features_in_} features, and the rows have {features}"
        )
    return estimator


def _linear(found: Mapping[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(solver="saga")
    estimator.classes_, estimator.coef_, estimator.intercept_ = (
        found["classes"],
        found["coef"],
        found["intercept"],
    )
    estimator.n_features_in_ = found["coef"].shape[1]
    return estimator


def _mlp(found: Mapping[str, Any]) -> Any:
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import LabelBinarizer

    layers = sum(name.startswith("coef_") for name in found)
    estimator = MLPClassifier(
        hidden_layer_sizes=tuple(found[f"coef_{i}"].shape[1] for i in range(layers - 1))
    )
    estimator.coefs_ = [found[f"coef_{index}"] for index in range(layers)]
    estimator.intercepts_ = [found[f"intercept_{index}"] for index in range(layers)]
    estimator.n_layers_, estimator.classes_ = layers + 1, found["classes"]
    estimator.n_outputs_ = estimator.coefs_[-1].shape[1]
    estimator.out_activation_ = "logistic" if len(found["classes"]) == 2 else "softmax"
    estimator._label_binarizer = LabelBinarizer().fit(found["classes"])
    estimator.n_features_in_ = estimator.coefs_[0].shape[0]
    return estimator


def _forest(found: Mapping[str, Any]) -> Any:
    """A forest. In its trees children stand behind parents, as scikit-learn grows them: no walk goes in circles."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier
    from sklearn.tree._tree import NODE_DTYPE, Tree

    counts, classes, features = found["counts"], found["classes"], int(found["features"])
    nodes = np.zeros(int(counts.sum()), dtype=NODE_DTYPE)
    for name in _NODES.split():
        nodes[name] = found[name]
    if (counts < 1).any() or found["values"].shape != (len(nodes), 1, len(classes)):
        raise ValueError("its trees have other shapes")
    forest = RandomForestClassifier(n_estimators=len(counts), n_jobs=1)
    forest.classes_, forest.n_classes_, forest.n_outputs_ = classes, len(classes), 1
    forest.n_features_in_, forest.estimators_ = features, []
    for start, count, depth in zip(np.cumsum(counts) - counts, counts, found["depths"]):
        part = nodes[start : start + count]
        inner = part["left_child"] >= 0
        places = np.arange(count)[inner]
        for child in (part["left_child"][inner], part["right_child"][inner]):
            if (child <= places).any() or (child >= count).any():
                raise ValueError("a tree's nodes do not form a tree")
        if (part["feature"][inner] < 0).any() or (part["feature"][inner] >= features).any():
            raise ValueError("a tree asks for a feature that there is not")
        tree = DecisionTreeClassifier()
        tree.classes_, tree.n_classes_, tree.n_outputs_ = np.arange(len(classes)), len(classes), 1
        tree.n_features_in_ = features
        tree.tree_ = Tree(features, np.array([len(classes)], dtype=np.intp), 1)
        values = np.ascontiguousarray(found["values"][start : start + count])
        tree.tree_.__setstate__(
            {"max_depth": int(depth), "node_count": int(count), "nodes": part.copy(), "values": values}
        )
        forest.estimators_.append(tree)
    return forest


def file_of(kind: str) -> str:
    """The file that holds the model."""
    return f"{kind}.npz"


def save(path: Path, kind: str, estimator: Any) -> None:
    """Write the numbers of a fitted estimator."""
    import numpy as np

    np.savez(path, **arrays(kind, estimator))
