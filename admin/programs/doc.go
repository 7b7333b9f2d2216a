// Package programs asks the other programs of a deployment through their management API,
// and names in what goes wrong the one that gave no answer.
package programs
