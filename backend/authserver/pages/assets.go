package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"sync"
	"time"
)

//go:embed assets
var files embed.FS

// asset is a file that pages load.
type asset struct {
	media   string
	data    []byte
	version string // a hash of the data
}

var assets = sync.OnceValue(func() map[string]asset {
	all := map[string]asset{}
	for name, media := range map[string]string{"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"} {
		data, err := files.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // embedded: it is there
		}
		hash := sha256.Sum256(data)
		all[name] = asset{media: media, data: data, version: hex.EncodeToString(hash[:6])}
	}
	return all
})

// asset is the address of a file, which changes with its content.
func (s Site) asset(name string) string {
	return s.Assets + name + "?v=" + assets()[name].version
}

// Assets answers GET for the files that pages load: the last segment of the path is the file's
// name. It is mounted under [Site.Assets].
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		file, ok := assets()[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.media)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("ETag", `"`+file.version+`"`)
		if r.URL.Query().Get("v") == file.version {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			h.Set("Cache-Control", "no-cache")
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(file.data))
	})
}
