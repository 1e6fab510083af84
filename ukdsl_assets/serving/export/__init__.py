"""A student as one ONNX file, from raw columns to each head's probability; what reads it is `serving/onnx_file.py`.

The graph is laid out by hand, of few nodes, for with a page of twelve candidates most of the time is that of nodes.
Nothing here trains, and nothing is written whose scores differ from batch scoring (`serving/scorer.py`).
"""
