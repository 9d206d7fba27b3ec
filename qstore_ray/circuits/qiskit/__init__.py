"""Qiskit objects as our circuits and observables, and back.

qiskit          QuantumCircuit → Circuit, Template → QuantumCircuit
gates           foreign gates rewritten in the gates of our table
operators       SparsePauliOp, Pauli and text → Observable
qubit_history   whether a reset or a measurement changes the state
"""
