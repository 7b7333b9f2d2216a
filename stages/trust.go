package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/smallstep/truststore"
	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
)

func trustCommand() *cobra.Command {
	var dir, file string
	t := trusting{}
	c := &cobra.Command{
		Use:   "trust",
		Short: "Have this machine and its browsers trust the workshop's CA",
		Long: `Have this machine and its browsers trust the workshop's CA, so that they show the servers'
pages without a warning: put its certificate into the system's store (which takes root, by sudo
where that is there) and into those of Firefox, Chromium and Chrome (which takes certutil).

The CA can make certificates for localhost, 127.0.0.0/8 and ::1 alone, and is refused here if it
can make others. So it has none for the names in KEYLADDER_HOSTS, under which the admin UI and
the phone answer over plain HTTP.

--undo takes it out again. Do that before "stages reset", or name the certificate with --ca.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := os.ReadFile(file)
			if file == "" {
				data, err = authority(dir)
			}
			if err != nil {
				return err
			}
			if t.ca, err = pki.Certificate(data); err != nil {
				return fmt.Errorf("read the CA's certificate: %w", err)
			}
			if err := pki.CheckLocal(t.ca); err != nil && !t.undo {
				return fmt.Errorf("the CA is not put into any store: %w.\nIf an older Keyladder made the deployment, `stages reset`, and then `stages init` or `up`, make a new one", err)
			}
			t.out = c.OutOrStdout()
			if !t.browsersAlone {
				t.system()
			}
			t.browsers()
			if t.failed > 0 || t.done == 0 && !t.undo {
				return errTold
			}
			return nil
		},
	}
	dataFlag(c, &dir)
	c.Flags().StringVar(&file, "ca", "", "`FILE` with the CA's certificate, as http://localhost:8000/workshop-ca.pem has it (default: that of the deployment)")
	c.Flags().BoolVar(&t.undo, "undo", false, "trust it no longer")
	c.Flags().BoolVar(&t.browsersAlone, "browsers", false, "only in the stores of browsers, which takes no root")
	return c
}

// authority is the certificate of a deployment's CA.
func authority(dir string) ([]byte, error) {
	folder, err := deployment.Open(dir, deployment.Admin)
	if err != nil {
		return nil, fmt.Errorf("%w\nWith Docker, fetch http://localhost:8000/workshop-ca.pem and name that file with --ca", err)
	}
	return folder.Read("roots.pem")
}

// trusting puts a certificate into stores, or takes it out.
type trusting struct {
	ca            *x509.Certificate
	undo          bool
	browsersAlone bool
	out           io.Writer
	done, failed  int // stores
}

// system changes the system's store.
func (t *trusting) system() {
	change := truststore.Install
	if t.undo {
		change = truststore.Uninstall
	}
	t.changed("the system's store", change(t.ca), "It takes root: run this again as somebody who may use sudo, or use --browsers. curl takes the certificate with --cacert.")
}

// Where NSS, the library that Firefox and, on Linux, Chromium and Chrome ask, has stores: below
// the user's home folder. Those of profiles are found by a pattern.
var browserStores = []string{
	usualStore, ".local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb",
	".mozilla/firefox/*", ".config/mozilla/firefox/*", "snap/firefox/common/.mozilla/firefox/*",
	"Library/Application Support/Firefox/Profiles/*",
}

// usualStore is the user's own, which Chromium and Chrome use on Linux if it is there.
const usualStore = ".pki/nssdb"

// browsers changes the stores of browsers.
func (t *trusting) browsers() {
	nss, err := truststore.NewNSSTrust()
	if err != nil {
		t.changed("the stores of browsers", errors.New("certutil is not installed"),
			`Install it (apt install libnss3-tools, dnf install nss-tools, brew install nss) and run this again. Until then, browsers warn at the servers' pages: choose "Advanced" and go on.`)
		return
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.changed("the stores of browsers", err, "Set HOME, and run this again.")
		return
	}
	stores := foundStores(home)
	if len(stores) == 0 && runtime.GOOS == "linux" && !t.undo {
		// Chromium reads that store and does not make it.
		store := filepath.Join(home, usualStore)
		if err := makeStore(store); err != nil {
			t.changed(store, err, "Make it, and run this again.")
			return
		}
		fmt.Fprintf(t.out, "No browser had a store yet: made %s, for Chromium and Chrome. Firefox makes its own when it is first started; run this again then.\n", store)
		stores = []string{store}
	}
	if len(stores) == 0 {
		fmt.Fprintln(t.out, "No browser has a store that certutil can change.")
	}
	change := nss.Install
	if t.undo {
		change = nss.Uninstall
	}
	certificate, remove, err := writeTemporary(t.ca)
	if err != nil {
		t.changed("the stores of browsers", err, "")
		return
	}
	defer remove()
	for _, store := range stores {
		truststore.NSSProfile = store // and the user's own, which it changes in any case
		t.changed(store, change(certificate, t.ca), "Close the browser and run this again.")
	}
	if len(stores) > 0 {
		fmt.Fprintln(t.out, "Browsers that are open notice it when they are started again.")
	}
}

// changed tells what came of changing a store, and how to go on where nothing did.
func (t *trusting) changed(store string, err error, goOn string) {
	var command *truststore.CmdError
	switch {
	case err == nil && t.undo:
		t.done++
		fmt.Fprintf(t.out, "The workshop's CA is trusted no longer in %s.\n", store)
	case err == nil:
		t.done++
		fmt.Fprintf(t.out, "The workshop's CA is trusted in %s.\n", store)
	default:
		t.failed++
		if errors.As(err, &command) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(command.Out())))
		}
		fmt.Fprintf(t.out, "NOT CHANGED: %s: %v. %s\n", store, err, goOn)
	}
}

// foundStores are the stores of browsers that are there.
func foundStores(home string) (stores []string) {
	for _, pattern := range browserStores {
		found, _ := filepath.Glob(filepath.Join(home, filepath.FromSlash(pattern), "cert9.db"))
		for _, database := range found {
			stores = append(stores, filepath.Dir(database))
		}
	}
	return stores
}

// makeStore makes an empty store without a password.
func makeStore(store string) error {
	if err := os.MkdirAll(store, 0o700); err != nil {
		return err
	}
	if output, err := exec.Command("certutil", "-N", "--empty-password", "-d", "sql:"+store).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

func writeTemporary(certificate *x509.Certificate) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "keyladder-trust-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "ca.pem")
	if err := truststore.SaveCertificate(path, certificate); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return path, func() { _ = os.RemoveAll(dir) }, nil
}
