"""The noise of a device, on circuits that are compiled for it.

    device.py      Device: the calibration as data, and the channels that follow from it
    read.py        from a name, a Qiskit backend, a target, saved properties, an Aer noise model
    fake.py        Qiskit's backends, targets and properties, and the fake backends by name
    aer_model.py   Aer's noise models
    transpile.py   Qiskit's transpiler, on the best qubits of a device
    compiled.py    compile_for_device: the compiled circuit with its channels and observables

Begin at `device.py`.
"""
