//go:build !linux

package tempdir

// InMemory does nothing here: the system has no folder in memory.
func InMemory() error { return nil }
