"""Speed and memory against the budgets, each figure beside a peer measured in the same run."""
