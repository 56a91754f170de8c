"""Values for src/report/statistics from SciPy, statsmodels, krippendorff and deep-significance:
python3 report_statistics.py > report_statistics.json

    pip install scipy statsmodels krippendorff deepsig
"""

import itertools
import json
import platform
import warnings
from importlib.metadata import version

import krippendorff
import numpy as np
from deepsig import aso
from deepsig.aso import compute_violation_ratio
from scipy import stats
from scipy.special import gammaln
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

warnings.simplefilter("ignore")
rng = np.random.default_rng(20)


def paired(a, b):
    a, b = np.array(a), np.array(b)
    d = a - b
    n = len(d)
    t = stats.ttest_rel(a, b)
    interval = t.confidence_interval(0.95)
    ranks = stats.rankdata(np.abs(d[d != 0]))
    # The distribution of the sum over all signs: also exact with ties.
    plus = ranks[d[d != 0] > 0].sum()
    if len(ranks) <= 12:
        sums = np.array([np.dot(ranks, signs) for signs in itertools.product([0, 1], repeat=len(ranks))])
        wilcoxon = min(1.0, 2 * np.mean(sums <= min(plus, ranks.sum() - plus) + 1e-9))
    else:
        wilcoxon = stats.wilcoxon(d, method="exact" if n <= 50 else "approx").pvalue
    if len(ranks) == n and len(set(ranks)) == n and n <= 12:
        assert abs(wilcoxon - stats.wilcoxon(d).pvalue) < 1e-12
    m = n - 1
    j = float(np.exp(gammaln(m / 2) - gammaln((m - 1) / 2) - 0.5 * np.log(m / 2))) if m > 1 else None
    d_z = float(d.mean() / d.std(ddof=1))
    means = None
    if n <= 6:
        means = np.array([np.mean(d[list(c)]) for c in itertools.product(range(n), repeat=n)])
    return {
        "a": a.tolist(), "b": b.tolist(), "t": float(t.statistic), "p": float(t.pvalue),
        "interval": [float(interval.low), float(interval.high)], "wilcoxon": float(wilcoxon),
        "d_z": d_z, "g_z": None if j is None else d_z * j,
        "equivalent": {"margin": 0.02, "p": float(ttost_paired(a, b, -0.02, 0.02)[0])},
        "bootstrap": None if means is None else [float(q) for q in np.quantile(means, [0.025, 0.975])],
    }


def samples(a, b):
    a, b = np.array(a), np.array(b)
    np.random.seed(1)
    return {
        "a": a.tolist(), "b": b.tolist(),
        "violation": float(compute_violation_ratio(a, b, dt=0.005)),
        "epsilon": float(aso(a, b, num_bootstrap_iterations=10000, show_progress=False, seed=1)),
    }


def masks(m):
    counts = np.stack([(m == 0).sum(0), (m == 1).sum(0)], 1)
    q = cochrans_q(m.T)
    sizes = m.sum(1)
    n = m.shape[1]
    found, expected = [], []
    for i in range(len(m)):
        for j in range(i):
            found.append((m[i] & m[j]).sum() / (m[i] | m[j]).sum())
            k = np.arange(n + 1)
            pmf = stats.hypergeom(n, sizes[i], sizes[j]).pmf(k)
            either = sizes[i] + sizes[j] - k
            expected.append(float(np.sum(pmf[pmf > 0] * (k / np.maximum(either, 1))[pmf > 0])))
    return {
        "masks": ["".join(map(str, row)) for row in m], "kappa": float(fleiss_kappa(counts)),
        "alpha": float(krippendorff.alpha(reliability_data=m, level_of_measurement="nominal")),
        "q": float(q.statistic), "q_p": float(q.pvalue),
        "jaccard": float(np.mean(found)), "expected": float(np.mean(expected)),
    }


def table(only_first, only_second):
    cells = [[40, only_first], [only_second, 30]]
    exact, chi = mcnemar(cells, exact=True), mcnemar(cells, exact=False, correction=True)
    return {"only_first": only_first, "only_second": only_second, "exact": float(exact.pvalue),
            "chi": float(chi.statistic), "chi_p": float(chi.pvalue)}


def spreads(*samples):
    test = stats.levene(*samples, center="median")
    return {"samples": [list(sample) for sample in samples], "f": float(test.statistic), "p": float(test.pvalue)}


five = rng.normal(0.83, 0.01, 5).round(4)
pairs = [
    paired(five, five - rng.normal(0.02, 0.01, 5).round(4)),
    paired([0.81, 0.82, 0.84, 0.80, 0.83], [0.80, 0.81, 0.85, 0.80, 0.79]),
    paired([0.5, 0.6, 0.7], [0.4, 0.55, 0.72]),
    paired(rng.normal(0.6, 0.05, 10), rng.normal(0.55, 0.05, 10)),
    paired(rng.normal(0.6, 0.05, 20), rng.normal(0.58, 0.05, 20)),
    paired(rng.normal(0.6, 0.05, 80), rng.normal(0.59, 0.05, 80)),
]
p = [0.04, 0.01, 0.03, 0.5, 0.005, 0.01]
document = {
    "versions": {"python": platform.python_version(),
                 **{name: version(name) for name in ["numpy", "scipy", "statsmodels", "krippendorff", "deepsig"]}},
    "pairs": pairs,
    "orders": [samples(rng.normal(0.84, 0.01, 5), rng.normal(0.82, 0.02, 5)),
               samples(rng.normal(0.8, 0.02, 5), rng.normal(0.82, 0.02, 5)),
               samples(rng.normal(0.8, 0.05, 12), rng.normal(0.79, 0.02, 7))],
    "masks": [masks((rng.random((5, 72)) < 0.6).astype(int)),
              masks((rng.random((3, 16)) < np.linspace(0.1, 0.9, 16)).astype(int))],
    "tables": [table(5, 12), table(30, 31), table(0, 3), table(100, 60)],
    "holm": {"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()},
    "detectable": [{"n": n, "power": power,
                    "d": float(TTestPower().solve_power(nobs=n, alpha=0.05, power=power, alternative="two-sided"))}
                   for n, power in [(3, 0.8), (5, 0.8), (5, 0.9), (10, 0.8), (30, 0.8)]],
    "spreads": [spreads([0.81, 0.82, 0.84, 0.80, 0.83], [0.70, 0.81, 0.95, 0.80, 0.62]),
                spreads([0.5, 0.6, 0.7], [0.4, 0.55, 0.72, 0.71], [0.1, 0.9])],
}
print(json.dumps(document, indent=1))
