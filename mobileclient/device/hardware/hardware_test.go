package hardware

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/stages/mechanism/evidence"
)

// made is a folder with hardware whose certificates do not matter.
func made(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "hardware")
	if Exists(dir) {
		t.Error("it is there before it was made")
	}
	if err := (Made{System: "sha256/maker", Key: der}).Write(dir); err != nil || !Exists(dir) {
		t.Fatal(err)
	}
	return dir
}

// power starts it, in this process.
func power(t *testing.T, dir string) *Client {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- serve(dir, far) }()
	c := NewClient(near)
	t.Cleanup(func() {
		c.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

var (
	maker = evidence.System{Name: "maker's", Version: "1", Locked: true}
	app   = App{Name: "com.example.app", Signer: "sha256/one"}
)

func TestTheBootLoaderSpeaksFirstAndOnce(t *testing.T) {
	t.Parallel()
	c := power(t, made(t))
	_, errKey := c.Key(app)
	_, errSign := c.Sign(app, make([]byte, 32))
	_, errEvidence := c.Evidence(Asked{App: app})
	for _, err := range []error{errKey, errSign, errEvidence, c.Erase(app.Name)} {
		if err == nil || !strings.Contains(err.Error(), errNotBooted.Error()) {
			t.Errorf("before: %v", err)
		}
	}
	if err := c.Boot(maker); err != nil {
		t.Fatal(err)
	}
	if err := c.Boot(maker); err == nil || !strings.Contains(err.Error(), errBooted.Error()) {
		t.Errorf("again: %v", err)
	}
	if _, err := c.Key(App{Name: "com.example.app"}); err == nil {
		t.Error("an app without a signer has a key")
	}
}

// TestKeysBelongTo an app, its signer, and the system under which they were made.
func TestKeysBelongTo(t *testing.T) {
	t.Parallel()
	dir := made(t)
	key := func(c *Client, app App) string {
		public, err := c.Key(app)
		if err != nil {
			t.Fatal(err)
		}
		return public.Thumbprint()
	}
	boot := func(system evidence.System) *Client {
		c := power(t, dir)
		if err := c.Boot(system); err != nil {
			t.Fatal(err)
		}
		return c
	}
	changed := func(change func(*evidence.System)) evidence.System {
		s := maker
		change(&s)
		return s
	}
	c := boot(maker)
	first := key(c, app)
	updated := app
	updated.Measurement = "another"
	if key(c, updated) != first {
		t.Error("another version of it has another")
	}
	for name, other := range map[string]App{"another app": {Name: "com.example.other", Signer: app.Signer}, "another signer": {Name: app.Name, Signer: "sha256/two"}} {
		if key(c, other) == first {
			t.Errorf("%s has the same", name)
		}
	}
	if key(boot(changed(func(s *evidence.System) { s.Version = "2" })), app) != first {
		t.Error("another version of the system has another")
	}
	for name, system := range map[string]evidence.System{
		"unlocked": changed(func(s *evidence.System) { s.Locked = false }), "somebody else's": changed(func(s *evidence.System) { s.Key = "sha256/free" }),
	} {
		if key(boot(system), app) == first {
			t.Errorf("a system that is %s has the same", name)
		}
		first = key(boot(maker), app)
	}
	c = boot(maker)
	if err := errors.Join(c.Erase("com.example.none"), c.Erase(app.Name)); err != nil {
		t.Fatal(err)
	}
	if key(c, app) == first {
		t.Error("it was erased and is there")
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	dir := made(t)
	if err := os.WriteFile(filepath.Join(dir, keysFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := power(t, dir)
	if err := c.Boot(maker); err == nil {
		t.Error("it makes new keys in place of those that can't be read")
	}
	if _, err := c.Key(app); err == nil {
		t.Error("and has a key")
	}
	if err := os.WriteFile(filepath.Join(dir, madeFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(dir); err == nil {
		t.Error("hardware without a key")
	}
}
