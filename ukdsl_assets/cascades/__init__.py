"""The declarations that are shipped: one YAML file a cascade, simulated worlds and the tabs of KuaiRand-Pure.

No Python belongs here. What a file may say is in `declaration/`; cascades of your own go to the folder UKDSL_CASCADES.
"""
