"""Studies: the tables and figures of papers as data, and the command that runs them again.

A folder is a paper. Its `paper.yaml` names data sets and trainings; each other file is one table or
figure, with the published numbers. `study.py` says what the files hold.
"""
