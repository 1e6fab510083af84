"""The documentation's site: pages that are made of the code when it is built, and the hooks of mkdocs that add them.

It is not part of the package: `make docs` builds the site from `docs/` and from what stands here.
"""
