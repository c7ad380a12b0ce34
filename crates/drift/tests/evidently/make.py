"""Writes expected.json: what evidently 0.7.23 says about the samples below.

    python3 -m venv venv && venv/bin/pip install 'evidently==0.7.23' 'pandas<3'
    venv/bin/python make.py > expected.json

Samples are written as [value, count] with few decimals, so that every JSON reader gets the same numbers.
"""

import json
import math

import numpy as np
import pandas as pd
import scipy
from evidently.legacy.calculations.stattests.hellinger_distance import _hellinger_distance
from evidently.legacy.calculations.stattests.jensenshannon import _jensenshannon
from evidently.legacy.calculations.stattests.kl_div import _kl_div
from evidently.legacy.calculations.stattests.ks_stattest import _ks_stat_test
from evidently.legacy.calculations.stattests.psi import _psi
from evidently.legacy.calculations.stattests.wasserstein_distance_norm import _wasserstein_distance_norm
from evidently.legacy.core import ColumnType
from scipy.stats import ks_2samp

rng = np.random.default_rng(20261122)


def grid(a, b, n):
    return np.round(rng.beta(a, b, n) * 200) / 200


i = np.arange(200)
ramp = ((37 * i) % 200) / 200
rare = [0] * 20000 + [k / 50 for k in range(1, 26) for _ in range(4)]
CASES = {
    "ramp and its square": (ramp, ramp**2),
    "normal, shifted": (rng.normal(0, 1, 500).round(3), rng.normal(0.3, 1.2, 300).round(3)),
    "normal, same": (rng.normal(0, 1, 400).round(3), rng.normal(0, 1, 400).round(3)),
    "scores on a grid": (grid(0.6, 4, 3000), grid(0.6, 3, 450)),
    "more than ten thousand scores": (grid(0.6, 4, 12000), grid(0.6, 3.8, 800)),
    "many against few": (grid(0.6, 4, 20000), grid(0.6, 3, 30)),
    "hundreds of thousands": (grid(0.6, 4, 300000), grid(0.6, 3.98, 150000)),
    "large and nearly the same": (grid(0.6, 4, 200000), grid(0.6, 4, 200000)),
    "ten values": (rng.integers(0, 10, 600).astype(float), rng.integers(2, 12, 250).astype(float)),
    "twenty values": (np.arange(400) % 20 / 4, rng.integers(0, 30, 100) / 4),
    "twenty-one values": (np.arange(420) % 21 / 4, rng.integers(0, 30, 100) / 4),
    "one value": (np.full(50, 0.5), np.full(40, 0.5)),
    "one value moved": (np.full(50, 0.5), np.array([0.5] * 20 + [0.75] * 20)),
    "apart": (rng.uniform(0, 1, 200).round(4), rng.uniform(2, 3, 120).round(4)),
    "ten and ten": (np.arange(10.0), np.arange(10.0) * 1.5 + 0.25),
    "seven and eleven": (np.arange(7.0), np.arange(11.0) * 0.8 + 1.1),
    "heavy tail": (rng.lognormal(0, 1.5, 2500).round(2), rng.lognormal(0.2, 1.4, 1700).round(2)),
    "rarer than one in ten thousand": (np.array(rare), np.array([0.02] * 3 + [0] * 15000 + [0.9])),
    "negative": (-rng.gamma(2, 2, 300).round(2), rng.normal(-4, 3, 310).round(2)),
    "equal sizes, thousands": (rng.normal(0, 1, 5000).round(2), rng.normal(0.02, 1, 5000).round(2)),
    "coprime sizes, thousands": (rng.normal(0, 1, 5003).round(2), rng.normal(0.02, 1, 4001).round(2)),
    "flags, shares .9/.1 and .8/.2": (np.array([0.0] * 180 + [1.0] * 20), np.array([0.0] * 160 + [1.0] * 40)),
}


def column(values):
    return pd.Series(np.asarray(values, dtype=float).round(6))


def numbers(reference, current, kind):
    r, c = column(reference), column(current)
    said = {
        "psi": _psi(r, c, kind, 0.1)[0],
        "js_distance": _jensenshannon(r, c, kind, 0.1)[0],
        "js_distance_base2": _jensenshannon(r, c, kind, 0.1, base=2)[0],
        "kl": _kl_div(r, c, kind, 0.1)[0],
        "hellinger": _hellinger_distance(r.copy(), c.copy(), kind, 0.1)[0],
    }
    if kind == ColumnType.Numerical:
        said["wasserstein_normed"] = _wasserstein_distance_norm(r, c, kind, 0.1)[0]
        said["ks_statistic"] = ks_2samp(r, c).statistic
        said["ks_p"] = _ks_stat_test(r, c, kind, 0.05)[0]
    return {name: float(value) for name, value in said.items()}


def weighted(values):
    value, count = np.unique(column(values), return_counts=True)
    return [[float(v), int(c)] for v, c in zip(value, count)]


def kolmogorov():
    """P(D_n >= d) of the one-sample statistic, what the p value of large samples rests on."""
    rows = []
    for n in [1, 2, 5, 16, 60, 140, 141, 1000, 9999, 100001, 5000000]:
        for z in [0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.6, 2.1, 2.8, 4.0]:
            d = z / math.sqrt(n)
            if d < 1:
                rows.append([n, d, float(scipy.stats.kstwo.sf(d, n))])
    return rows


def main():
    cases = []
    for name, (reference, current) in CASES.items():
        cases.append(
            {
                "name": name,
                "reference": weighted(reference),
                "current": weighted(current),
                "numerical": numbers(reference, current, ColumnType.Numerical),
                "categorical": numbers(reference, current, ColumnType.Categorical),
            }
        )
    lines = ",\n".join(json.dumps(case) for case in cases)
    print('{"cases": [\n' + lines + '\n],\n"kolmogorov": ' + json.dumps(kolmogorov()) + "}")


main()
