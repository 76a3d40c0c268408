"""What every stage may lean on: errors, explanations, exact quantities, time, arrays."""
