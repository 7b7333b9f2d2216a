package testenv

import "testing"

// Must is what a call returns, if it returns no error: the test ends with one.
//
//	folder := testenv.Must[*deployment.Folder](t)(deployment.Open(dir, role))
func Must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
