package phone_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/mobileclient/phone"
	"keyladder/mobileclient/release"
)

func TestPackages(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	genuine, err := os.ReadFile(h.folder.Path(first))
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(genuine)
	changed[len(changed)/2] ^= 1
	status, page := h.upload(t, changed)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a changed package: %d", status)
	}
	wants(t, "a changed package", page, "signature does not fit")

	repackaged := repackage(t, h.folder.Path(first), stranger(t))
	_, page = h.upload(t, repackaged)
	wants(t, "a stranger's package", page, "allow sideloading")
	h.submit(t, "/settings/sideloading", url.Values{"allowed": {"yes"}})
	_, page = h.upload(t, repackaged)
	wants(t, "a stranger's update", page, "uninstall it first")
	_, page = h.see(t, "/settings")
	wants(t, "before it is uninstalled", page, "<summary>Uninstall", `action="/settings/uninstall"`)
	_, page = h.submit(t, "/settings/uninstall", url.Values{"name": {phone.AppName}})
	wants(t, "uninstalled", page, "are gone", "own app is not on this phone")
	_, page = h.see(t, "/")
	wants(t, "without the app", page, "not on this phone")
	_, page = h.upload(t, repackaged)
	wants(t, "sideloaded", page, "is installed", "sideloaded", "own app is not on this phone")
	_, page = h.see(t, "/")
	wants(t, "the stranger's app", page, "HB-1001")

	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/settings")
	wants(t, "after a restart", page, "sideloaded")
	_, page = h.submit(t, "/settings/store", nil)
	wants(t, "back to the store's", page, "from the store")
	if strings.Contains(page, `class="tag bad"`) {
		t.Error("the stranger's app is still there")
	}
}

func (h *hand) upload(t *testing.T, pkg []byte) (int, string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("package", "app.pkg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(pkg); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return h.send(t, http.MethodPost, "/settings/install", form.FormDataContentType(), &body)
}

// first is the package of the first release of the customers' app.
const first = "harbour-bank-1.pkg"

// repackage signs a package anew.
func repackage(t *testing.T, path string, key ed25519.PrivateKey) []byte {
	t.Helper()
	code, manifest, assets, err := release.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	assets["whatsnew.txt"] = []byte("Small improvements.")
	dir := t.TempDir()
	program, pkg := filepath.Join(dir, "program"), filepath.Join(dir, "app.pkg")
	if err := os.WriteFile(program, code, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := release.Pack(pkg, program, manifest, assets, key); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(pkg)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func stranger(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// developer is the bank's own key, which is kept offline.
func developer(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(bank.Dir, "offline", "developer-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(ed25519.PrivateKey)
}

func TestOpsApp(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	_, page := h.submit(t, "/app", url.Values{"app": {phone.OpsName}})
	wants(t, "at the first stage", page, "Harbour Bank operations</span>", "HB-3001", `action="/accounts/HB-3001/freeze"`)
	_, page = h.submit(t, "/app", url.Values{"app": {"com.example.app"}})
	wants(t, "another app", page, "The app was not changed")

	h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	_, page = h.submit(t, "/app", url.Values{"app": {phone.OpsName}})
	wants(t, "ops", page, "Harbour Bank operations</span>", "<h1>Sign in</h1>", `value="`+phone.OpsName+`" selected`)
	page = h.signIn(t, "carol")
	wants(t, "carol", page, "HB-3001 · mallory", "All accounts", "works for the bank", `action="/accounts/HB-3001/freeze"`)
	if strings.Contains(page, `href="/pay`) {
		t.Error("the staff's app pays")
	}
	_, page = h.submit(t, "/accounts/HB-9000/freeze", url.Values{"frozen": {"yes"}})
	wants(t, "freeze", page, "HB-9000 is frozen", "Unfreeze")
	_, page = h.submit(t, "/accounts/HB-9000/freeze", url.Values{"frozen": {"no"}})
	wants(t, "unfreeze", page, "no longer frozen")

	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/")
	wants(t, "after a restart", page, "Harbour Bank operations</span>", "HB-3001")
	_, page = h.submit(t, "/stage", url.Values{"stage": {"tls"}})
	wants(t, "at a stage without users", page, "Harbour Bank operations</span>", "HB-1001")
	_, page = h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	wants(t, "back again", page, "Harbour Bank operations</span>", "HB-3001")
	_, page = h.submit(t, "/app", url.Values{"app": {phone.AppName}})
	wants(t, "the customers' app", page, "<h1>Sign in</h1>")
	h.signIn(t, "carol")
	_, page = h.submit(t, "/accounts/HB-9000/freeze", url.Values{"frozen": {"yes"}})
	wants(t, "in the customers' app", page, "The bank refused")
}

// TestUpdate packs the app anew while the phone is in use.
func TestUpdate(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	if _, page := h.see(t, "/"); strings.Contains(page, "newer package") {
		t.Error("an update of what is new")
	}
	packed := repackage(t, h.folder.Path(first), developer(t))
	if err := h.folder.Replace(map[string][]byte{first: packed}); err != nil {
		t.Fatal(err)
	}
	_, page := h.see(t, "/")
	wants(t, "packed anew", page, "newer package", `action="/settings/update"`, "HB-1001")
	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/settings")
	wants(t, "after a restart", page, "newer package")
	_, page = h.submit(t, "/settings/update", nil)
	sum := sha256.Sum256(packed)
	wants(t, "updated", page, "is up to date", hex.EncodeToString(sum[:]))
	if strings.Contains(page, "newer package") {
		t.Error("it can be updated again")
	}
	_, page = h.see(t, "/")
	wants(t, "afterwards", page, "HB-1001")

	broken := append(bytes.Clone(packed), '!')
	if err := h.folder.Replace(map[string][]byte{first: broken}); err != nil {
		t.Fatal(err)
	}
	status, page := h.submit(t, "/settings/update", nil)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a broken store: %d", status)
	}
	wants(t, "a broken store", page, "not signed")
	_, page = h.see(t, "/")
	wants(t, "with a broken store", page, "HB-1001")
}
