"""Pages: which candidates of a request are shown and in which order, by their values and the rules of `page:`.

Arrays and a declaration come in, pages go out; a server builds one a request, so numpy is all that it loads. Who
predicted the values is for `serving/`, what became of a page for `logs/`, and what a policy is worth for `off_policy`.
"""
