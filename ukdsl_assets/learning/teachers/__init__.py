"""Teachers that are trained here, trees and networks, labels made on the fly, and how teachers of any kind are judged.

A logged teacher has no model: its labels are the SQL model logged_teacher_labels. Teachers from another cascade are in
`learning/cross_domain`; a day's labels are written by `pipeline/teacher_labels.py`.
"""
