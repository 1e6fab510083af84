"""Where results live: Delta tables by day (`tables`) and model checkpoints (`checkpoints`)."""
