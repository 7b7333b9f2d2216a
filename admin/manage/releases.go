package manage

import (
	"log/slog"
	"path/filepath"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/release"
)

// published is a package of the folder, as the store hands it out.
type published struct {
	Filename string
	Package  *release.Package // nil: it is damaged
}

func readPublished(folder *deployment.Folder) []published {
	var list []published
	for _, path := range folder.Packages() {
		p, err := release.Open(path)
		if err != nil {
			slog.Error("admin UI: a published package", "error", err)
		}
		list = append(list, published{Filename: filepath.Base(path), Package: p})
	}
	return list
}
