"""Searches: fields of a job are varied by trials of Ray Tune. Begin with `tuner.py`.

config, objective, metrics   what is searched, and for what
space/                       fields and the values that they may take
samplers/, schedulers/       which point is next; which trial ends early; by name
study/                       the trials of a search, in storage
driver/                      the process that runs a search
trial/                       what an actor of Ray Tune does
report/, dashboards/         report and pages of a search
"""
