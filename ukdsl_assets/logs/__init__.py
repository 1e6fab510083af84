"""Log readers that all return the same contract, and the gates that audit what they read."""
