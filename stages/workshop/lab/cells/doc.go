// Package cells has no code: its tests are the matrix, cell by cell, and that the matrix, or a call beside the
// genuine app's, tells where a defence is missing.
package cells
