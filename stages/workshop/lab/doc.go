// Package lab wires every program of Keyladder into one process: for `stages up`, for
// the matrix, whose cells each get a fresh lab, and for tests.
//
// The programs are the real ones, on real ports, and speak to each other as they do
// when they are apart; the app is a process of its own in any case.
package lab
