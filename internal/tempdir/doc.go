// Package tempdir is about temporary files. Throw-away labs write and remove a few GB of them in a
// matrix, and wait for none of it to be on a disk when that is memory.
package tempdir
