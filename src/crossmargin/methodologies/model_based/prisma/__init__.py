"""A model like Eurex's PRISMA: sub-samples, robust scaling, correlation break, stress as the floor."""
