"""Which vectors run, through which runner, and which wait for which methodology: kind by kind, file by file.

Whoever brings a methodology moves its kinds from `NOT_YET` to `RUN`, and its files from one line to another. A kind
that stands in neither fails in the default folder; in another folder it is reported by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.reference import runners, span_runners
from tests.reference.loader import Vector

VENUES = "crypto venues"
MODELS = "model-based margin and its statistics"
SIMM = "SIMM"
STRATEGY = "strategy margin and TIMS"
CCP = "clearing-house resources and the default waterfall"
ANSWERS = "liquidation region"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A runner, and the figures of `expected` that it leaves: by name, with what will bring them."""

    runner: Callable[[Vector], set[str]]
    not_yet: dict[str, str] = field(default_factory=dict)


_VENUE_FIGURES = (
    "aggregated_by_price_bucket",
    "extended_pre_aggregated",
    "extended_aggregated",
    "delta_shock",
    "correlation_contingency",
    "risk_matrix_margin",
    "open_orders_margin",
    "mmp_margin",
    "spot_margin",
    "initial_margin",
    "maintenance_margin",
)

RUN: dict[str, Run] = {
    "Deribit Portfolio Margin (PME)": Run(
        runner=runners.deribit_pme,
        not_yet={**dict.fromkeys(_VENUE_FIGURES, VENUES), "unit": "a label, not a figure"},
    ),
    "vectors_published / scan_risk": Run(runner=runners.risk_array_scan),
    **{
        f"vectors_published / {name}": Run(runner=getattr(span_runners, name))
        for name in (
            "calendar_spread_total",
            "contract_value",
            "info",
            "initial_to_maintenance",
            "inter_commodity_credit",
            "inter_commodity_credit_outright",
            "intra_spread_count",
            "net_delta",
            "pa2_parse",
            "short_option_minimum",
            "total",
        )
    },
    "vectors_marginism_nse": Run(runner=span_runners.nse),
    "vectors_tiers_inter_kdpw": Run(runner=span_runners.kdpw),
}

_DOCUMENTED = {
    "OKX portfolio margin (pre-2025 tiers)": VENUES,
    "OKX portfolio margin MR9 stablecoin depeg": VENUES,
    "Bybit UTA cross margin, short put": VENUES,
    "Paradex portfolio margin, minimum delta requirement": VENUES,
    "Vega protocol cross margin": VENUES,
    "Hyperliquid portfolio margin": VENUES,
    "generic cross margin": ANSWERS,
    "generic lending account": ANSWERS,
}
_DRIFT = [
    "account_custom_margin_ratio",
    "account_initial",
    "asset_for_liability",
    "base_to_cover_shortage",
    "deposit_interest_delta_to_absorb_bankruptcy",
    "liability_implied_by_asset",
    "liability_transfer_to_cover_shortage",
    "liquidation_fee_ramp",
    "max_pct_to_liquidate",
    "perp_insurance_fee",
    "perp_liquidation_end_to_end",
    "prediction_market_margin",
    "scaled_initial_asset_weight",
    "size_discount_asset_weight",
    "size_premium_liability_weight",
    "spot_insurance_fee",
    "strict_price_collateral",
]
_DYDX = [
    "account_risk",
    "adjusted_imf_ppm",
    "bankruptcy_price_quote_quantums",
    "compare_risk",
    "fillable_price",
    "initial_margin_quote",
    "insurance_fund_delta",
    "is_liquidatable",
    "min_max_notional_liquidatable",
    "position_margin",
    "undercollateralized_transition",
]
_STATISTICS = [
    "acerbi_szekely_Z1_Z2",
    "acerbi_szekely_Z2_critical_value_MC",
    "apc_tools",
    "basel_traffic_light",
    "berkowitz_tail_as_vartests",
    "binomial_test_one_sided_greater",
    "bivariate_copula_fit",
    "christoffersen_from_counts",
    "christoffersen_from_hits",
    "christoffersen_pelletier_weibull_duration",
    "cornish_fisher_var",
    "dcc_filter_fixed_params",
    "detone",
    "elliptical_rho_from_kendall_tau",
    "ewma_covariance_zero_mean",
    "ewma_variance_arch",
    "exception_rate_upper_confidence_limit_95",
    "exponentially_weighted_covariance_half_life_40",
    "garch11_filter_fixed_params_fhs",
    "garch11_fit_and_fhs",
    "gerber",
    "historical_var_es",
    "hypothetical_capital_kccp",
    "kupiec_pof",
    "ledoit_wolf_scaled_identity",
    "mid_p_test_one_sided_greater",
    "nearest_correlation_frobenius",
    "oas",
    "parametric_var_es_normal_t",
    "procyclicality_measures",
    "riskmetrics2006_arch",
    "rmt_denoise_marchenko_pastur",
    "statsmodels_corr_nearest",
]
_RESOURCES = [
    "cover_1_cover_2",
    "default_waterfall",
    "hypothetical_capital_kccp",
    "one_factor_default_count",
    "prisma_like_subsample",
]
_STRATEGY_FILES = (
    "vectors_cboe2007_strategy_vs_portfolio",
    "vectors_cboe_manual",
    "vectors_margin_estimator",
    "vectors_published_misc",
    "vectors_tims_mechanics",
)

# `document / vector` or `document`, as `loader.kind_of` says it; `*` for the rest of a document's title.
NOT_YET: dict[str, str] = {
    "Derive*": VENUES,
    "Mango*": VENUES,
    **{f"worked examples from public documentation / {name}": why for name, why in _DOCUMENTED.items()},
    **{f"Drift* / {name}": VENUES for name in _DRIFT},
    **{f"dYdX* / {name}": VENUES for name in _DYDX},
    **dict.fromkeys(_STRATEGY_FILES, STRATEGY),
    **{f"vectors / {name}": MODELS for name in _STATISTICS},
    **{f"vectors_ccp / {name}": CCP for name in _RESOURCES},
}

# Files without vectors, by path: read by a runner, by a methodology to come, or by people.
PEOPLE = "text for people"
FILES: dict[str, str] = {
    "*README.md": PEOPLE,
    "*PROVENANCE.md": PEOPLE,
    "*LICENSE*": PEOPLE,
    "simm/*": SIMM,
    "span/*.spn": "read by the vectors that name it",
    "span/*.pa2": "genuine records: tests/files/test_span_pa2.py",
    "span/nse_banknifty_rpf_extract_*.csv.gz": "genuine figures: tests/methodologies/span/test_span_genuine.py",
    "stats/*.csv": MODELS,
}


def runner_of(kind: str) -> Run | None:
    """How a kind runs; `None` if it does not. The same form in a file of another name is the same kind."""
    return RUN.get(kind) or next((run for name, run in RUN.items() if _inner(kind) == _inner(name) != ""), None)


def why_not_yet(kind: str) -> str | None:
    """What will bring a kind; `None` if nobody has listed it."""
    exact = next((why for pattern, why in NOT_YET.items() if fnmatchcase(kind, pattern)), None)
    return exact or next((why for name, why in NOT_YET.items() if _inner(kind) == _inner(name) != ""), None)


def _inner(kind: str) -> str:
    """What the vector itself says of its kind; empty if it says nothing."""
    return kind.partition(" / ")[2]


def use_of_file(name: str) -> str | None:
    """What a file without vectors is for; `None` if nobody has listed it."""
    return next((use for pattern, use in FILES.items() if fnmatchcase(name, pattern)), None)
