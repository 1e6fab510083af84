"""The networks of students and of the foundation teacher, one a file; all take the same inputs, see `inputs`.

Also what feeds them: the embedding table, pooling of lists, compiled kernels. Losses, optimizer steps over a day and
targets belong to `learning/training`, boosted trees to `learning/students` and `learning/teachers`. It imports torch
at the top, so other rooms import it inside the functions that use it.
"""
