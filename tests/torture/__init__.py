"""What kills, races, damage and bad logs do to the platform: `make torture`, and a short form among the tests.

Every part says how often it tried and what it saw; a figure that is not as it must be ends the command with 1.
"""
