package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"sync"

	"github.com/labstack/echo/v4"
)

//go:embed assets
var assets embed.FS

var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// assetVersion is a hash over all assets.
var assetVersion = sync.OnceValue(func() string {
	hash := sha256.New()
	_ = fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := assets.ReadFile(name) // embedded: it can be read
		hash.Write(data)
		return err
	})
	return hex.EncodeToString(hash.Sum(nil))[:12]
})

// assetPath is the address of an asset, which changes with the assets' content.
func assetPath(name string) string { return "/assets/" + name + "?v=" + assetVersion() }

// Asset answers GET /assets/:file.
func Asset(c echo.Context) error {
	name := c.Param("file")
	data, err := assets.ReadFile("assets/" + name)
	if err != nil {
		return echo.ErrNotFound
	}
	if c.QueryParam("v") == assetVersion() {
		c.Response().Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	return c.Blob(http.StatusOK, assetTypes[path.Ext(name)], data)
}
