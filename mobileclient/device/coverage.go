package device

import (
	"fmt"
	"os"
)

// CoverageIn is the environment variable with a folder for what apps tell about the tests that
// run them. An app that was built for that (see covered.go of the bank's app) writes which of
// its lines were run into a file there, which it inherits, as it can open none itself. Others
// leave it empty. Only the tests of this repository set it.
const CoverageIn = "KEYLADDER_APP_COVERAGE"

// coverageFile is what an app inherits as its last descriptor: 7 on Linux. Nil: nothing.
func coverageFile() (*os.File, error) {
	folder := os.Getenv(CoverageIn)
	if folder == "" {
		return nil, nil
	}
	file, err := os.CreateTemp(folder, "app-")
	if err != nil {
		return nil, fmt.Errorf("make the file that %s wants: %w", CoverageIn, err)
	}
	return file, nil
}
