package web

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"keyladder/internal/deployment"
)

// published is a package of the folder, as the store hands it out.
type published struct {
	Filename string
	Size     int64
	SHA256   string
	Name     string // from its manifest, as are the rest; empty where it can't be read
	Label    string
	Release  int
	Schemes  []string
}

func readPublished(folder *deployment.Folder) ([]published, error) {
	var list []published
	for _, path := range folder.Packages() {
		p, err := readPackage(path)
		if err != nil {
			return nil, fmt.Errorf("read the package %s: %w", filepath.Base(path), err)
		}
		list = append(list, p)
	}
	return list, nil
}

func readPackage(path string) (published, error) {
	p := published{Filename: filepath.Base(path)}
	file, err := os.Open(path)
	if err != nil {
		return p, err
	}
	defer file.Close()
	hash := sha256.New()
	if p.Size, err = io.Copy(hash, file); err != nil {
		return p, err
	}
	p.SHA256 = hex.EncodeToString(hash.Sum(nil))
	archive, err := zip.NewReader(file, p.Size)
	if err != nil {
		return p, nil // the list shows what it knows
	}
	for _, entry := range archive.File {
		if !strings.EqualFold(filepath.Base(entry.Name), "manifest.json") {
			continue
		}
		content, err := entry.Open()
		if err != nil {
			break
		}
		var manifest struct {
			Name, Label string
			Release     int
			Schemes     []string
		}
		if json.NewDecoder(io.LimitReader(content, 64<<10)).Decode(&manifest) == nil {
			p.Name, p.Label, p.Release, p.Schemes = manifest.Name, manifest.Label, manifest.Release, manifest.Schemes
		}
		content.Close()
		break
	}
	return p, nil
}
