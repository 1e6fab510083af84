"""What is learnt and measured on frames and arrays: features, models, training, teachers, students and their figures.

The core: rows, seeds and numbers of threads come in as arguments, models and figures go out. It reads no lake, no log
and no SQL; which days are trained on is for `pipeline/` to say. Its rooms are layers: metrics, features, networks and
trees, training, then teachers, students and evaluation side by side, and cross_domain on top.
"""
