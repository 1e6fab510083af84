"""Simulated worlds, drawn from hashes: the ads cascade in `ads/`, the modules of an item page, the sizes of their days.

Laws of a world and who serves in it, as arrays. How a day becomes logs of the contract is for `logs/sources`, what is
measured on it for `evidence/`; no student, table or lake is known here.
"""
