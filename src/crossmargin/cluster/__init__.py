"""Many accounts on several processes or machines, through Ray: nothing here starts or imports Ray by being imported."""
