"""From a team's raw files to a project: a guess of what each column means, its mapping as a script, its declaration.

Guesses are pure functions of a sample of rows, each with a confidence and a reason. What the columns must become is
the contract of `logs/`, whose gates judge the day that a mapping made; a project's first question to the logs
(`ukdsl diagnose`) and its runs read what the mapping wrote, and nothing of what stands here.
"""
