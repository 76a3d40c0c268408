"""SPAN: risk arrays of an exchange's parameter file, one delta ledger, charges and credits by the file's priorities."""
