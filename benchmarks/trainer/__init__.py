"""Our trainer beside its peers' on one table."""
