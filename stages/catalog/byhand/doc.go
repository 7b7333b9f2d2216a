// Package byhand says how a person carries out the attacks of the catalog, with the commands to
// type at each stage. The policies of a stage decide which of them it needs.
//
//	attacks.go  the steps of each attack
//	steps.go    what steps are made of, and those that attacks share
package byhand
