"""Metric values for src/task/metrics.rs from scikit-learn and scipy: python3 metrics.py > metrics.json

Where the library calls a value undefined (nan, or too few points), it is written as null; GLUE's convention for
these is 0, which is the convention the Rust side is tested against.
"""

import json
import math
import platform
import warnings

import numpy as np
import scipy
import sklearn
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

warnings.simplefilter("ignore")
rng = np.random.default_rng(20)


def correlation(of, x, y):
    if len(x) < 2:
        return None
    value = float(of(np.float64(x), np.float64(y))[0])
    return None if math.isnan(value) else value


def classes(name, predicted, labels):
    expected = {
        "accuracy": float(accuracy_score(labels, predicted)),
        "matthews": float(matthews_corrcoef(labels, predicted)),
    }
    if max(*predicted, *labels) <= 1:
        expected["f1"] = float(f1_score(labels, predicted, pos_label=1, zero_division=0))
    return {"name": name, "kind": "classes", "predicted": list(map(int, predicted)),
            "labels": list(map(int, labels)), "expected": expected}


def scores(name, predicted, labels):
    x, y = np.float32(predicted), np.float32(labels)
    p, s = correlation(pearsonr, x, y), correlation(spearmanr, x, y)
    expected = {"pearson": p, "spearman": s, "corr": None if p is None or s is None else (p + s) / 2}
    return {"name": name, "kind": "scores", "predicted": [float(v) for v in x],
            "labels": [float(v) for v in y], "expected": expected}


y2 = (rng.random(277) < 0.55).astype(int)
y3 = rng.integers(0, 3, 400)
target = np.round(rng.random(200) * 25) / 5
cases = [
    classes("noisy binary", np.where(rng.random(277) < 0.7, y2, 1 - y2), y2),
    classes("perfect", y2[:40], y2[:40]),
    classes("all wrong", 1 - y2[:40], y2[:40]),
    classes("constant prediction 0", np.zeros(277, int), y2),
    classes("constant prediction 1", np.ones(277, int), y2),
    classes("labels of one class", y2[:60], np.ones(60, int)),
    classes("no positive anywhere", np.zeros(9, int), np.zeros(9, int)),
    classes("three classes", np.where(rng.random(400) < 0.6, y3, rng.integers(0, 3, 400)), y3),
    classes("three classes, one never predicted", np.minimum(y3, 1), y3),
    classes("three classes, one absent from the labels", y3, np.minimum(y3, 1)),
    classes("one right example", [1], [1]),
    classes("one wrong example", [0], [1]),
    classes("two examples", [0, 1], [0, 1]),
    scores("noisy regression, labels with ties", target + rng.normal(0, 1, 200), target),
    scores("ties on both sides", np.round(target + rng.normal(0, 1, 200)), np.round(target)),
    scores("monotone but not linear", np.exp(target), target),
    scores("reversed", -target, target),
    scores("large offset", 1e4 + target, target),
    scores("constant prediction", np.full(50, 2.7), target[:50]),
    scores("constant labels", target[:50], np.full(50, 2.7)),
    scores("one example", [2.0], [3.0]),
    scores("two examples", [1.0, 2.0], [4.0, 3.0]),
    scores("two tied of three", [1.0, 1.0, 2.0], [1.0, 2.0, 3.0]),
]
versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__}
head = json.dumps({"script": "tests/golden/metrics.py", "versions": versions})[:-1]
print(head + ', "cases": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]}")
