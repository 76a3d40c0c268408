"""The regulatory schedule: rates on notional by product class and maturity, netted by the net-to-gross ratio."""
