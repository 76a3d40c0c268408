"""Derive's portfolio margin: `derive-pmrm2` with many collaterals, and `derive-pmrm1` with one."""
