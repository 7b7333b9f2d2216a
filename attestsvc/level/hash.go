package level

import (
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// packageHash believes the app what the hash of its package is.
var packageHash = Level{
	Name:     catalog.PackageHash,
	Reports:  []manage.ClaimName{manage.Executables, manage.Instance},
	complete: func(e incoming) bool { return e.Answer == nil && e.Findings == nil && e.ByDevice == "" },
}
