"""The function that is trained, and one step of training: pure functions, no files, no Ray.

Begin with `model.py` (layers, circuit, observables, head, loss) and `step.py` (one step).

    losses, scoring, goal       what is minimised, and what is measured
    layers, targets, weights    around the circuit; scaled targets; weights of rows
    gradients/                  derivatives of expectation values, by name
    optimizers/, schedules/     updates of the parameters and of the learning rate, by name
    kernel/                     quantum kernels
    diagnostics/                early stopping, convergence, barren plateaus
    overlap_circuits            fidelities of states from circuits
    unroll, fubini_study        what gradient methods and optimizers need of a circuit
"""
