// Package ladder shows all stages at once, as one picture that fits a sheet of paper: where each secret
// is at each stage, which attacks get through, and what a call costs. Below it is the same step by step.
//
//	GET  /ladder                          the picture, to look at and to print
//
// Secrets and outcomes are the catalog's, which knows them for stages that are not built as well. The cost of
// a call was measured by `stages bench --keep`; without that, the page says how to do it.
package ladder

//go:generate go tool templ generate
