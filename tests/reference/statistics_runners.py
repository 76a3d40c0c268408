"""Runners of estimators, generators and tails: each through our functions, to the tolerance that the vector states."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossmargin.aggregation import procyclicality as cycle
from crossmargin.basics.arrays import FloatArray
from crossmargin.dependence import copulas, correlation, tails, volatility
from crossmargin.methodologies.model_based.prisma import steps as prisma
from tests.reference.loader import Vector

FLOOR = 1e-12
"""Absolute floor of every tolerance."""


@cache
def _columns(path: Path) -> dict[str, FloatArray]:
    with path.open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {
        name: np.array([float(row[k]) for row in rows]) for k, name in enumerate(header) if name not in ("date", "time")
    }


def _table(vector: Vector, names: Iterable[str] | None = None) -> FloatArray:
    columns = _columns(vector.companion(vector.body["inputs"]["file"]))
    first, last = vector.body["inputs"].get("rows", (0, None))
    chosen = list(columns) if names is None else list(names)
    return np.stack([columns[name] for name in chosen], axis=1)[first:last]


def _series(vector: Vector) -> FloatArray:
    inputs = vector.body["inputs"]
    return np.asarray(_table(vector, [inputs["column"]])[:, 0] * inputs.get("scale", 1))


def _held(vector: Vector, found: dict[str, Any], rel: float | None = None) -> set[str]:
    """Compare what is expected; the names that were."""
    expected = vector.body["expected"]
    tolerance = vector.body["rel_tol"] if rel is None else rel
    for name, value in expected.items():
        if name in found:
            assert np.asarray(found[name]).shape == np.asarray(value).shape, name
            np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=FLOOR, err_msg=name)
    return set(found) & set(expected)


def ewma_variance(vector: Vector) -> set[str]:
    series = _series(vector)
    start = float(volatility.backcast(series))
    variance, following = volatility.ewma_variance(series, vector.body["inputs"]["lam"], start=start)
    vol = np.sqrt(variance)
    return _held(vector, {"cond_vol_first5": vol[:5], "cond_vol_last5": vol[-5:], "forecast_var_next": following})


def riskmetrics(vector: Vector) -> set[str]:
    variance, _ = volatility.riskmetrics2006_variance(_series(vector))
    return _held(vector, {"cond_vol_last5": np.sqrt(variance[-5:])})


def ewma_covariance(vector: Vector) -> set[str]:
    seed = re.search(r"first (\d+) rows", vector.body["inputs"]["start"])
    assert seed is not None
    found = correlation.ewma_covariance(_table(vector), vector.body["inputs"]["lam"], seed_days=int(seed[1]))
    return _held(vector, {"cov": found, "corr": correlation.correlation_of(found)})


def half_life_covariance(vector: Vector) -> set[str]:
    return _held(vector, {"cov": correlation.half_life_covariance(_table(vector), 40)})


def denoised(vector: Vector) -> set[str]:
    return _held(vector, {"cov": correlation.denoised(_table(vector))})


def detoned(vector: Vector) -> set[str]:
    return _held(vector, {"cov": correlation.detoned(_table(vector))})


def gerber(vector: Vector) -> set[str]:
    return _held(vector, {"cov": correlation.gerber(_table(vector))})


def ledoit_wolf(vector: Vector) -> set[str]:
    covariance, shrinkage = correlation.ledoit_wolf(_table(vector))
    return _held(vector, {"cov": covariance, "shrinkage": shrinkage})


def oas(vector: Vector) -> set[str]:
    covariance, shrinkage = correlation.oas(_table(vector))
    return _held(vector, {"cov": covariance, "shrinkage": shrinkage})


def nearest(vector: Vector) -> set[str]:
    """The nearest correlation; a cell near 0 is compared on the scale of a correlation, which is 1."""
    matrix = np.array(vector.body["inputs"]["matrix"])
    found = correlation.nearest_correlation(matrix)
    smallest = float(np.linalg.eigvalsh(found)[0])
    expected = vector.body["expected"]
    checked = set()
    for name in ("nearest", "corr_nearest"):
        if name in expected:
            np.testing.assert_allclose(found, expected[name], rtol=0, atol=vector.body["rel_tol"])
            checked.add(name)
    if "corr_clipped" in expected:
        clipped = correlation.clipped_correlation(matrix)
        np.testing.assert_allclose(clipped, expected["corr_clipped"], rtol=0, atol=vector.body["rel_tol"])
        checked.add("corr_clipped")
    if "min_eig" in expected:
        assert smallest == pytest.approx(expected["min_eig"], rel=vector.body["rel_tol"], abs=FLOOR)
        checked.add("min_eig")
    if "frobenius_distance" in expected:
        distance = float(np.linalg.norm(found - matrix))
        assert distance == pytest.approx(expected["frobenius_distance"], rel=vector.body["rel_tol"], abs=FLOOR)
        checked.add("frobenius_distance")
    return checked


def garch_fit(vector: Vector) -> set[str]:
    """The fit: log-likelihood to 1e-5, parameters to 1e-2, what follows from them to the vector's tolerance."""
    series = _series(vector)
    fit = volatility.fit_garch(series, vector.body["inputs"]["dist"])
    expected = vector.body["expected"]
    checked = set()
    if "loglik" in expected:
        assert fit.log_likelihood == pytest.approx(expected["loglik"], rel=1e-5)
        checked.add("loglik")
    if "params" in expected:
        found = {"omega": fit.omega, "alpha[1]": fit.alpha, "beta[1]": fit.beta, "nu": fit.degrees_of_freedom}
        for name, value in expected["params"].items():
            assert found[name] == pytest.approx(value, rel=1e-2), name
        checked.add("params")
    standard = series / fit.volatility
    now = fit.volatility_following
    figures: dict[str, Any] = {"next_vol": now}
    for level in ("0.99", "0.995"):
        at_risk = tails.historical_var(standard, level, "linear")
        figures[f"fhs_var_{level}"] = at_risk * now
        figures[f"fhs_es_{level}"] = -float(standard[standard <= -at_risk].mean()) * now
    return checked | _held(vector, figures)


def garch_filter(vector: Vector) -> set[str]:
    inputs, series = vector.body["inputs"], _series(vector)
    variance, following = volatility.garch_filter(
        series, omega=inputs["omega"], alpha=inputs["alpha"], beta=inputs["beta"], start=float(np.var(series))
    )
    vol, now = np.sqrt(variance), math.sqrt(float(following))
    standard = series / vol
    return _held(
        vector,
        {
            "vol_last5": vol[-5:],
            "next_vol": now,
            "fhs_var_99_linear": tails.historical_var(standard, "0.99", "linear") * now,
            "fhs_var_995_linear": tails.historical_var(standard, "0.995", "linear") * now,
            "worst5_std_resid": np.sort(standard)[:5],
        },
    )


def dcc_filter(vector: Vector) -> set[str]:
    inputs = vector.body["inputs"]
    table = _table(vector, inputs["columns"])
    standard = table / table.std(axis=0)
    target = np.corrcoef(standard, rowvar=False)
    return _held(vector, {"corr_last": correlation.dcc_filter(standard, inputs["a"], inputs["b"], target)[-1]})


def historical(vector: Vector) -> set[str]:
    inputs = vector.body["inputs"]
    series, level = _series(vector)[-inputs["last_rows"] :], str(inputs["level"])
    found: dict[str, Any] = {name: tails.historical_var(series, level, name) for name in tails.CONVENTIONS}
    shortfall = tails.historical_es(series, level)
    found |= {"skfolio_var": found["inverted_cdf"], "skfolio_cvar": shortfall, "es_acerbi_tasche": shortfall}
    found["skfolio_evar"] = tails.entropic_var(series, level)
    return _held(vector, found)


def parametric(vector: Vector) -> set[str]:
    inputs = vector.body["inputs"]
    level = Decimal(str(inputs["level"]))
    normal = tails.normal_risk(level, inputs["sigma"], inputs["mu"])
    student = tails.t_risk(level, inputs["sigma"], inputs["nu"], inputs["mu"])
    return _held(
        vector,
        {
            "var_normal": normal.value_at_risk,
            "es_normal": normal.expected_shortfall,
            "var_t_unit_variance": student.value_at_risk,
            "es_t_unit_variance": student.expected_shortfall,
        },
    )


def cornish_fisher(vector: Vector) -> set[str]:
    inputs = vector.body["inputs"]
    found = tails.cornish_fisher_var(str(inputs["level"]), inputs["sigma"], inputs["skew"], inputs["excess_kurtosis"])
    return _held(vector, {"var": found})


def pair_copula(vector: Vector) -> set[str]:
    one, other = _table(vector, vector.body["inputs"]["columns"]).T
    expected = vector.body["expected"]
    student = len(expected["parameters"]) == 2
    fit = copulas.fit_pair(one, other, "student" if student else "gaussian")
    assert fit.log_likelihood == pytest.approx(expected["loglik"], rel=1e-4)
    parameters = [fit.correlation] + ([fit.degrees_of_freedom] if student else [])
    return {"loglik"} | _held(vector, {"parameters": parameters, "tail_dependence": fit.tail_dependence})


def elliptical(vector: Vector) -> set[str]:
    one, other = _table(vector, vector.body["inputs"]["columns"]).T
    tau = copulas.kendall_tau(one, other)
    return _held(vector, {"tau": tau, "rho": copulas.kendall_rho(tau)})


def _margins(vector: Vector) -> FloatArray:
    return _columns(vector.companion(vector.body["inputs"]["file"]))["margin"]


def procyclicality(vector: Vector) -> set[str]:
    margin = _margins(vector)
    whole = cycle.procyclicality(margin)
    found: dict[str, Any] = {"peak_to_trough": whole.peak_to_trough, "std_log_change": whole.std_log_change}
    for name in vector.body["expected"]:
        if rise := re.fullmatch(r"n_day_max_increase_(exact|within)_(\d+)", name):
            found[name] = cycle.largest_increase(margin, int(rise[2]), within=rise[1] == "within")
    return _held(vector, found)


def anti_procyclicality(vector: Vector) -> set[str]:
    """The tool that the rule names in words, on the series."""
    margin, rule = _margins(vector), vector.body["inputs"]["rule"]
    if floor := re.fullmatch(r"max\(M, (?:np\.float64\()?([\d.]+)\)?\)", rule):
        after = cycle.floored(margin, float(floor[1]))
    else:
        mixed = re.fullmatch(r"([\d.]+)\*M \+ ([\d.]+)\*q99\(M\) with q99=([\d.]+)", rule)
        assert mixed is not None, rule
        assert float(mixed[1]) + float(mixed[2]) == 1
        after = cycle.with_stress(margin, float(mixed[3]), float(mixed[2]))
    return _held(
        vector,
        {
            "first": after[0],
            "mean": after.mean(),
            "max": after.max(),
            "peak_to_trough": cycle.procyclicality(after).peak_to_trough,
            "max_5d_increase_exact": cycle.largest_increase(after, 5),
        },
    )


def prisma_subsample(vector: Vector) -> set[str]:
    """One sub-sample of a PRISMA-like model, through its steps."""
    i = vector.body["inputs"]
    pnl = (_table(vector, i["columns"]) * np.array(i["weights"])).sum(axis=1)[None, :]
    factor = prisma.robust_factor(i["conf"], i["target_conf"], i["t_df"])
    raw = prisma.value_at_risk(pnl, i["conf"])
    pure = raw * factor
    excess = prisma.mean_excess_risk(pnl, i["cb_conf"], i["window"])
    broken = prisma.correlation_break(excess, pure, kappa=i["kappa"], least=i["cb_min"], most=i["cb_max"])
    return _held(
        vector,
        {
            "var_raw": raw[0],
            "robust_factor": factor,
            "pure_market_risk": pure[0],
            "cb_var_full": prisma.value_at_risk(pnl, i["cb_conf"])[0],
            "mean_excess_risk": excess[0],
            "correlation_break": broken[0],
        },
    )
