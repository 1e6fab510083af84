"""The simulated ads cascade: users, ads and the truth, three stages with their own models, the auction, the outcomes.

Production's models are apart from the platform's students, since a cascade has them before anybody distils. A day as
rows is `logs.py`; the source that reads it is `logs/sources/simulated_ads.py`.
"""
