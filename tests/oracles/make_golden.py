"""Write `tests/golden/*.json`: the sample accounts, margined by the independent oracle, with every figure on the way.

    python -m tests.oracles.make_golden          (in the project's root)

Reads the three files of the sample by itself (names, contract sizes, times and all), prices with `math.erfc`, and
margins in plain loops: nothing of the package takes part but its data files. A golden file changes only with a reason
in the commit.
"""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracles.grid_oracle import (
    FUTURE,
    OPTION,
    PERPETUAL,
    SPOT,
    Account,
    Answer,
    Contract,
    Figures,
    Rules,
    contract_figures,
    margin,
    scenarios,
)

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
PACKAGE = ROOT / "src" / "crossmargin"
PARAMETERS = PACKAGE / "methodologies" / "venue_grids" / "scenario_grid" / "venue-grid-2026.json"
SAMPLE = PACKAGE / "sample"
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def _rows(name: str) -> list[dict[str, str]]:
    with (SAMPLE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _expiry(text: str) -> datetime:
    """`26NOV21` is 08:00 UTC of that day."""
    day, month, year = text[:-5], text[-5:-2], text[-2:]
    return datetime(2000 + int(year), MONTHS.index(month) + 1, int(day), 8, tzinfo=UTC)


def sample_contracts() -> dict[str, Contract]:
    """Terms from the names, prices from the chain: inverse options on 1 BTC, inverse futures of 10 dollars."""
    found = {}
    for row in _rows("btc_chain.csv"):
        name = row["instrument"]
        as_of = datetime.fromisoformat(row["as_of"].replace("Z", "+00:00"))
        index = float(row["index_price"])
        parts = name.split("-")
        common: dict[str, Any] = {"name": name, "underlying": "BTC", "index": index}
        if len(parts) == 1:
            found[name] = Contract(**common, kind=SPOT, inverse=False, multiplier=1.0, price=index)
            continue
        if parts[1] == "PERPETUAL":
            price = float(row["mark_price"])
            found[name] = Contract(**common, kind=PERPETUAL, inverse=True, multiplier=10.0, price=price)
            continue
        years = (_expiry(parts[1]) - as_of).total_seconds() / (365 * 86_400)
        if len(parts) == 2:
            price = float(row["mark_price"])
            found[name] = Contract(**common, kind=FUTURE, inverse=True, multiplier=10.0, price=price, years=years)
            continue
        found[name] = Contract(
            **common,
            kind=OPTION,
            inverse=True,
            multiplier=1.0,
            price=float(row["forward_price"]),
            strike=float(parts[2]),
            is_call=parts[3] == "C",
            vol=float(row["vol"]),
            years=years,
            mark=float(row["mark_price"]) if row["mark_price"] else None,
        )
    return found


def sample_accounts() -> tuple[dict[str, Account], dict[str, dict[str, str]]]:
    """Margin accounts with their coin balances as spot positions, and all balances."""
    members: dict[str, dict[str, list[tuple[str, Decimal]]]] = {}
    margin_account: dict[str, str] = {}
    for row in _rows("positions.csv"):
        account = row["account"]
        margin_account.setdefault(account, row["netting_set"] or account)
        rows = members.setdefault(margin_account[account], {}).setdefault(account, [])
        rows.append((row["instrument"], Decimal(row["quantity"])))
    balances: dict[str, dict[str, str]] = {}
    for row in _rows("balances.csv"):
        account = row["account"]
        balances.setdefault(margin_account[account], {})[f"{account}: {row['asset']}"] = row["amount"]
        if row["asset"] == "BTC":
            members[margin_account[account]][account].append(("BTC", Decimal(row["amount"])))
    return {name: Account(members=inside) for name, inside in members.items()}, balances


def words(document: dict[str, Any], scenario: int) -> str:
    """The scenario as the rules count it: price move, volatility, fraction counted."""
    one = scenarios(document["shape"], document["underlyings"]["BTC"])[scenario]
    vol = {-1: "down", 0: "same", 1: "up"}[one.vol]
    return f"price {one.move:+.6g}, vol {vol}, weight {one.weight:.6g}"


def golden(name: str) -> dict[str, Any]:
    """The golden document of one margin account."""
    document = json.loads(PARAMETERS.read_text(encoding="utf-8"))
    contracts = sample_contracts()
    accounts, balances = sample_accounts()
    account = accounts[name]
    held = sorted({instrument for rows in account.members.values() for instrument, _ in rows})
    table: dict[str, Figures] = {k: contract_figures(contracts[k], document) for k in held}
    answer: Answer = margin(account, table, Rules(maintenance_factor=float(document["maintenance_factor"])))
    index = contracts["BTC"].index
    collateral = sum(
        float(amount) * (index if asset.endswith(": BTC") else 1.0) for asset, amount in balances[name].items()
    )
    equity = collateral + answer.net_option_value
    return {
        "what": f"sample account '{name}' under scenario-grid",
        "source": "tests/oracles/make_golden.py: our own independent calculation in plain Python, not the engine's",
        "tolerance": {"relative": 1e-9},
        "inputs": {
            "as_of": _rows("btc_chain.csv")[0]["as_of"],
            "index": index,
            "positions": {
                member: {instrument: f"{quantity:f}" for instrument, quantity in rows}
                for member, rows in account.members.items()
            },
            "balances": balances[name],
            "market": {
                k: {
                    "price": contracts[k].price,
                    **({"vol": contracts[k].vol} if contracts[k].kind == OPTION else {}),
                    **({"years": contracts[k].years} if contracts[k].kind in (OPTION, FUTURE) else {}),
                }
                for k in held
            },
        },
        "parameters": {
            "name": document["name"],
            "version": document["version"],
            "shape": document["shape"],
            "across_units": document["across_units"],
            "maintenance_factor": document["maintenance_factor"],
            "BTC": document["underlyings"]["BTC"],
        },
        "figures": {
            "units": {
                unit.name: {
                    "scenario": unit.scenario,
                    "scenario_words": words(document, unit.scenario),
                    "scan_risk": unit.scan_risk,
                    "net_delta": [unit.net_delta[expiry] for expiry in sorted(unit.net_delta)],
                    "roll_charge": unit.roll_charge,
                    "short_option_minimum": unit.minimum,
                    "requirement": unit.requirement,
                    "pnl_worst": {k: q * table[k].pnl[unit.scenario] for k, q in unit.positions},
                    "contributions": {
                        k: share for (k, _), share in zip(unit.positions, unit.contributions, strict=True)
                    },
                }
                for unit in answer.units
            },
            "requirement_initial": answer.requirement,
            "requirement_maintenance": answer.maintenance,
            "requirement_isolated": answer.isolated,
            "net_option_value": answer.net_option_value,
            "collateral_value": collateral,
            "equity": equity,
            "excess": equity - answer.requirement,
        },
    }


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in sorted(sample_accounts()[0]):
        path = GOLDEN / f"{name}.json"
        path.write_text(json.dumps(golden(name), indent=1) + "\n", encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
