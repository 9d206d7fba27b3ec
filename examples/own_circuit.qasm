// A circuit of your own for the iris data; run from the repository:
//     qstore train examples/own_circuit.toml
// x_0 … x_3 are the features of a row, p_0 … p_15 are trained.
OPENQASM 3.0;
include "stdgates.inc";

input float x_0;
input float x_1;
input float x_2;
input float x_3;
input float p_0;
input float p_1;
input float p_2;
input float p_3;
input float p_4;
input float p_5;
input float p_6;
input float p_7;
input float p_8;
input float p_9;
input float p_10;
input float p_11;
input float p_12;
input float p_13;
input float p_14;
input float p_15;

qubit[4] q;

ry(x_0) q[0];
rz(p_0) q[0];
ry(p_1) q[0];
ry(x_1) q[1];
rz(p_2) q[1];
ry(p_3) q[1];
ry(x_2) q[2];
rz(p_4) q[2];
ry(p_5) q[2];
ry(x_3) q[3];
rz(p_6) q[3];
ry(p_7) q[3];
cx q[0], q[1];
cx q[1], q[2];
cx q[2], q[3];
cx q[3], q[0];

ry(x_0) q[0];
rz(p_8) q[0];
ry(p_9) q[0];
ry(x_1) q[1];
rz(p_10) q[1];
ry(p_11) q[1];
ry(x_2) q[2];
rz(p_12) q[2];
ry(p_13) q[2];
ry(x_3) q[3];
rz(p_14) q[3];
ry(p_15) q[3];
cx q[0], q[1];
cx q[1], q[2];
cx q[2], q[3];
cx q[3], q[0];
