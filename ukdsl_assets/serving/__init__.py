"""A released student answers: candidates in files scored, and the checkpoint that is released found below a lake.

It loads a student and a checkpoint store, and no pipeline, Delta, SQL, log reader or trainer, so that an answer needs
no more than what was released. Features are encoded as in training, by `learning/features`; how well scores agree
with what happened is for `learning/evaluation` to say.
"""
