"""Methods whose scenarios come from a model of risk factors: history, filtered history, simulation, stress."""
