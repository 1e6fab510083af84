"""Small days of the shipped cascades, recorded so that two states of the code can be compared."""
