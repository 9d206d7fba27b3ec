"""Pictures of a run: curves, confusion matrix, circuit, loss landscape, decision boundary.

base        style, colours, files as PNG or SVG
curves      loss, accuracy, learning rate and gradients by epoch, of one run or several
confusion   true by predicted classes
circuit     gates on wires
landscape   the loss on a plane through the trained parameters
boundary    what the model says on a plane of features
run         everything that a finished run gets
study       pictures of a search
page        what HTML reports have in common
"""
