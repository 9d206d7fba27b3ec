"""Pictures of a search: what it found, when, where in the space, and what mattered.

base        a search as its pictures see it, and what the pictures share
history     the value of each trial, and the best so far
epochs      the value by epoch, a line a trial
slices      the value against each parameter
parallel    a line a trial through all parameters
importance  which parameters the value depends on
front       two objectives against each other
draw        a picture by its name, and all that can be drawn
"""
