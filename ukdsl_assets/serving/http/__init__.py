"""The server: released students answer over HTTP, follow the release pointer, and write what they showed as logs.

A request is checked, scored by onnxruntime, put in order by `pages/`, and answered with the version that it was scored
by. It loads no frames, no torch, no Delta, SQL or trainer: what needs those (a model that has not been exported yet)
happens in a process of its own. What a student reads and which probabilities it gives is for `serving/onnx_file.py` to
say, and for `pages/` what a page may show.
"""
