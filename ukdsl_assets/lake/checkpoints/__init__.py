"""Models by day as safetensors or LightGBM text beside JSON, the state of interrupted trainings, and what is released.

Nothing is ever unpickled. How a model is rebuilt from what was kept is `from_checkpoint` of the room that trained it;
whether it may be released is decided in `pipeline/release.py`. No table is read here.
"""
