"""A student as a value: both arms fitted, warm-started, applied to frames, taken to and from a checkpoint's content.

The loop that a network is trained by is in `learning/training`, and so is what rows teach it. Where checkpoints lie,
which one is newest and which is released are for `pipeline/` and `serving/`.
"""
