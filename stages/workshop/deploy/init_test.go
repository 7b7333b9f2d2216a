package deploy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/google/go-cmp/cmp"

	"keyladder/backend/rates/customers"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/workshop/deploy"
)

// made makes a deployment.
func made(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if done, err := deploy.Init(t.Context(), options(t, dir)); err != nil || done != deploy.Made {
		t.Fatal(done, err)
	}
	return dir
}

func options(t *testing.T, dir string) deploy.Options {
	return deploy.Options{Dir: dir, Stages: catalog.All(), Programs: programs(t), Addresses: deployment.Local(deployment.Ports{deployment.API: 8443, deployment.PlainAPI: 8080})}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	if err := json.Unmarshal(read(t, path), into); err != nil {
		t.Fatal(err)
	}
}

func certificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	found, err := pki.Certificate(read(t, path))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return found
}

// files are the contents of all files of a role's folder, by their names.
func files(t *testing.T, dir string, role deployment.Role) map[string][]byte {
	t.Helper()
	folder, found := filepath.Join(dir, string(role)), map[string][]byte{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		found[filepath.ToSlash(name)] = read(t, path)
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatal(role, found, err)
	}
	return found
}

// Every certificate is issued by the one authority that it is meant for, for what its owner
// does with it and under no more names than needed.
func TestCertificates(t *testing.T) {
	t.Parallel()
	dir := made(t)
	authorities := map[string]*x509.Certificate{}
	for _, name := range []string{"server-ca", "client-ca", "manage-ca"} {
		ca := certificate(t, filepath.Join(dir, "offline", name+".pem"))
		if !ca.IsCA || !ca.MaxPathLenZero || ca.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
			t.Errorf("%s: %+v", name, ca)
		}
		if err := ca.CheckSignatureFrom(ca); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// People put the first one into their own stores. The other two stay among the programs.
		if err := pki.CheckLocal(ca); (err == nil) != (name == "server-ca") {
			t.Errorf("%s is for this machine alone: %v", name, err)
		}
		authorities[name] = ca
	}
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	local := []string{"127.0.0.1", "::1", "localhost"}
	type row struct {
		file, authority, name string
		usages                []x509.ExtKeyUsage
		hosts                 []string
	}
	rows := []row{
		{"resource/server", "server-ca", "Harbour Bank API", []x509.ExtKeyUsage{server}, local},
		{"offline/server-backup", "server-ca", "Harbour Bank API, backup", []x509.ExtKeyUsage{server}, local},
		{"attacker/terminator", "manage-ca", "terminator", []x509.ExtKeyUsage{client}, nil},
	}
	for _, id := range []string{"harbour-mobile", "harbour-ops", "harbour-kiosk", "quayside-books"} {
		rows = append(rows, row{"offline/apps/" + id, "client-ca", id, []x509.ExtKeyUsage{client}, nil})
	}
	for _, role := range deployment.Roles() {
		if role != deployment.Offline {
			rows = append(rows, row{string(role) + "/manage", "manage-ca", string(role), []x509.ExtKeyUsage{server, client}, append(slices.Clone(local), string(role))})
		}
	}
	keys := map[string]string{} // the files of certificates, by their public keys
	for _, tt := range rows {
		c := certificate(t, filepath.Join(dir, tt.file+".pem"))
		if c.Subject.CommonName != tt.name || c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("%s: %s, an authority: %v, usage %b", tt.file, c.Subject.CommonName, c.IsCA, c.KeyUsage)
		}
		if diff := cmp.Diff(tt.usages, c.ExtKeyUsage); diff != "" {
			t.Errorf("%s: usages %s", tt.file, diff)
		}
		hosts := slices.Clone(c.DNSNames)
		for _, ip := range c.IPAddresses {
			hosts = append(hosts, ip.String())
		}
		if slices.Sort(hosts); !slices.Equal(hosts, slices.Sorted(slices.Values(tt.hosts))) {
			t.Errorf("%s is for %q, want %q", tt.file, hosts, tt.hosts)
		}
		for name, authority := range authorities {
			roots := x509.NewCertPool()
			roots.AddCert(authority)
			_, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: tt.usages})
			if (err == nil) != (name == tt.authority) {
				t.Errorf("%s under %s: %v", tt.file, name, err)
			}
		}
		public := c.PublicKey.(*ecdsa.PublicKey)
		if public.Curve != elliptic.P256() {
			t.Errorf("%s: a key on %s", tt.file, public.Curve.Params().Name)
		}
		if _, err := (pki.Pair{Certificate: read(t, filepath.Join(dir, tt.file+".pem")), Key: read(t, filepath.Join(dir, tt.file+"-key.pem"))}).TLS(); err != nil {
			t.Errorf("%s: %v", tt.file, err)
		}
		if other := keys[string(c.RawSubjectPublicKeyInfo)]; other != "" {
			t.Errorf("%s and %s have one key", tt.file, other)
		}
		keys[string(c.RawSubjectPublicKeyInfo)] = tt.file
	}
	for copied, of := range map[string]string{
		"phone/roots.pem": "offline/server-ca.pem", "admin/roots.pem": "offline/server-ca.pem", "attacker/roots.pem": "offline/server-ca.pem",
		"resource/client-ca.pem": "offline/client-ca.pem", "resource/manage-ca.pem": "offline/manage-ca.pem", "offline/server.pem": "resource/server.pem",
	} {
		if !bytes.Equal(read(t, filepath.Join(dir, copied)), read(t, filepath.Join(dir, of))) {
			t.Errorf("%s is not %s", copied, of)
		}
	}
}

// A private key is in one folder. Only the bad terminator, with which the attacker stands
// where TLS ends, has the server's, too.
func TestPrivateKeysAreNotShared(t *testing.T) {
	t.Parallel()
	dir := made(t)
	where := map[string][]string{}
	for _, role := range deployment.Roles() {
		for name, data := range files(t, dir, role) {
			for {
				block, rest := pem.Decode(data)
				if block == nil {
					break
				}
				if data = rest; strings.Contains(block.Type, "PRIVATE") {
					where[string(block.Bytes)] = append(where[string(block.Bytes)], string(role)+"/"+name)
				}
			}
		}
	}
	var shared [][]string
	for _, places := range where {
		if slices.Sort(places); len(places) > 1 {
			shared = append(shared, places)
		}
	}
	if want := [][]string{{"attacker/server-key.pem", "resource/server-key.pem"}}; !cmp.Equal(want, shared) {
		t.Errorf("shared are %q, want %q", shared, want)
	}
	for _, name := range []string{"server-ca-key.pem", "client-ca-key.pem", "manage-ca-key.pem", "developer-key.pem", "server-backup-key.pem", "apps/quayside-books-key.pem"} {
		block, _ := pem.Decode(read(t, filepath.Join(dir, "offline", name)))
		if block == nil || !slices.Equal(where[string(block.Bytes)], []string{"offline/" + name}) {
			t.Errorf("%s is at %q", name, where[string(block.Bytes)])
		}
	}
}

// What a role must not know is in no file of its folder, be it a package: apps' secrets are
// there in release 1, because that is what it is about, and not to be read from release 2 on.
func TestSecretsAreWhereTheyBelong(t *testing.T) {
	t.Parallel()
	dir := made(t)
	var secrets, passwords map[string]string
	readJSON(t, filepath.Join(dir, "resource", "secrets.json"), &secrets)
	readJSON(t, filepath.Join(dir, "phone", "passwords.json"), &passwords)
	var mediators map[string]string
	readJSON(t, filepath.Join(dir, "mediator", "secrets.json"), &mediators)
	var users []deploy.User
	readJSON(t, filepath.Join(dir, "resource", "users.json"), &users)
	mobile := strings.TrimSpace(string(read(t, filepath.Join(dir, "offline", "apps", "harbour-mobile-key.pem"))))
	kiosk := strings.TrimSpace(string(read(t, filepath.Join(dir, "offline", "apps", "harbour-kiosk-key.pem"))))
	const packages, staffs = "harbour-bank-1.pkg", "harbour-ops-1.pkg"
	rows := map[string]struct {
		secret string
		in     []string
	}{
		"the app's secret":          {secrets["harbour-mobile"], []string{"admin/" + packages, "attacker/" + packages, "attestsvc/" + packages, "phone/" + packages, "resource/secrets.json"}},
		"the staff's app's secret":  {secrets["harbour-ops"], []string{"admin/" + staffs, "attacker/" + staffs, "attestsvc/" + staffs, "phone/" + staffs, "resource/secrets.json"}},
		"the kiosk's secret":        {secrets["harbour-kiosk"], []string{"resource/secrets.json"}},
		"the app's certificate key": {mobile, []string{"admin/" + packages, "attacker/" + packages, "attestsvc/" + packages, "offline/apps/harbour-mobile-key.pem", "phone/" + packages}},
		"the kiosk's":               {kiosk, []string{"offline/apps/harbour-kiosk-key.pem"}},
		"the key of the rates API":  {mediators["market-rates"], []string{"mediator/secrets.json"}},
		"the hash of that":          {customers.Hash(mediators["market-rates"]), []string{"rates/keys.json"}},
		"alice's password":          {passwords["alice"], []string{"attacker/passwords.json", "phone/passwords.json"}},
		"the hash of alice's":       {users[0].PasswordHash, []string{"auth/users.json", "lite/users.json", "resource/users.json"}},
	}
	for name, tt := range rows {
		if len(tt.secret) < 16 {
			t.Fatalf("%s is %q", name, tt.secret)
		}
		var found []string
		for _, role := range deployment.Roles() {
			for file, data := range files(t, dir, role) {
				if strings.HasSuffix(file, ".pkg") {
					data = unpacked(t, filepath.Join(dir, string(role), file))
				}
				if bytes.Contains(data, []byte(tt.secret)) || bytes.Contains(data, jsonText(t, tt.secret)) {
					found = append(found, string(role)+"/"+file)
				}
			}
		}
		if slices.Sort(found); !slices.Equal(found, tt.in) {
			t.Errorf("%s is in %q, want %q", name, found, tt.in)
		}
	}
	if _, ok := secrets["quayside-books"]; ok {
		t.Error("the partner, whose certificate proves it, has a secret")
	}
	for _, user := range users {
		if ok, err := argon2id.ComparePasswordAndHash(passwords[user.Name], user.PasswordHash); err != nil || !ok {
			t.Errorf("%s's password is not the one that is hashed: %v", user.Name, err)
		}
		if user.Staff != (user.Name == "carol") {
			t.Errorf("%s works for the bank: %v", user.Name, user.Staff)
		}
	}
}

// unpacked is everything in a package.
func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	program, _, assets, err := release.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.NewBuffer(program)
	for _, name := range slices.Sorted(maps.Keys(assets)) {
		all.Write(assets[name])
	}
	return all.Bytes()
}

// jsonText is a text as it stands between quotes in JSON.
func jsonText(t *testing.T, text string) []byte {
	t.Helper()
	data, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Trim(data, `"`)
}

// The registry knows each app by the certificate that was issued for it, and no limit is
// left open.
func TestRegistry(t *testing.T) {
	t.Parallel()
	dir := made(t)
	var apps []manage.App
	readJSON(t, filepath.Join(dir, "resource", "apps.json"), &apps)
	var ids []string
	for _, app := range apps {
		ids = append(ids, app.ID)
		want := []string{string(pin.Of(certificate(t, filepath.Join(dir, "offline", "apps", app.ID+".pem"))))}
		if !slices.Equal(app.Certificates, want) {
			t.Errorf("%s has the certificates %q, want %q", app.ID, app.Certificates, want)
		}
		if (app.Tier == "") != (app.PerSecond > 0 && app.Burst >= 1) || app.UserAgent == "" || len(app.Scopes) == 0 {
			t.Errorf("%+v", app)
		}
		if staff := slices.Contains(app.Scopes, "accounts:freeze"); staff != (app.ID == "harbour-ops") {
			t.Errorf("%s may freeze accounts: %v", app.ID, staff)
		}
		if partner := app.Kind == manage.Partner; partner != (app.ID == "quayside-books") {
			t.Errorf("%s is a partner: %v", app.ID, partner)
		}
	}
	for _, id := range deploy.ClientIDs() {
		if !slices.Contains(ids, id) {
			t.Errorf("there is a package of %s, which nobody knows", id)
		}
	}
}

// Nothing that has to be secret, or tells deployments apart, is made twice.
func TestDeploymentsDiffer(t *testing.T) {
	t.Parallel()
	first, second := made(t), made(t)
	for _, role := range deployment.Roles() {
		others := files(t, second, role)
		for name, data := range files(t, first, role) {
			if name != deployment.SettingsFile && bytes.Equal(data, others[name]) {
				t.Errorf("%s/%s is the same in two deployments", role, name)
			}
		}
	}
	var a, b map[string]string
	readJSON(t, filepath.Join(first, "phone", "passwords.json"), &a)
	readJSON(t, filepath.Join(second, "phone", "passwords.json"), &b)
	for name, password := range a {
		if password == b[name] {
			t.Errorf("%s has one password in two deployments", name)
		}
	}
}

// Nobody but its owner can look into a deployment.
func TestOwnersOnly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("has no such modes")
	}
	dir := made(t)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is not whole is made anew as long as nothing was booked with it, and is an error
// after that, and where something was changed.
func TestWhatIsThere(t *testing.T) {
	t.Parallel()
	const manifest = "deployment.json"
	whole, another := made(t), made(t)
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string)
		want   deploy.Done
		err    string
	}{
		{"nothing happened", func(*testing.T, string) {}, deploy.Kept, ""},
		{"the last folder has no manifest", func(t *testing.T, dir string) { remove(t, dir, "offline", manifest) }, deploy.Made, ""},
		{"the last folder was not begun", func(t *testing.T, dir string) { remove(t, dir, "offline") }, deploy.Made, ""},
		{"no folder has a manifest", func(t *testing.T, dir string) {
			for _, role := range deployment.Roles() {
				remove(t, dir, string(role), manifest)
			}
		}, deploy.Made, ""},
		{"the offline folder was taken away, and a program has run", func(t *testing.T, dir string) {
			remove(t, dir, "offline")
			write(t, filepath.Join(dir, "resource", "resource.db"), "booked")
		}, "", "put the folder back, or run `stages reset`"},
		{"a program's folder was taken away", func(t *testing.T, dir string) { remove(t, dir, "resource") }, "", "so it is not made anew"},
		{"a program's folder has no manifest", func(t *testing.T, dir string) { remove(t, dir, "phone", manifest) }, "", "was left half-written"},
		{"a key was changed", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "resource", "server-key.pem"), "x") }, "", "was changed after it was made"},
		{"a file is gone", func(t *testing.T, dir string) { remove(t, dir, "attacker", "terminator.pem") }, "", "was changed after it was made"},
		{"a folder is another deployment's", func(t *testing.T, dir string) {
			remove(t, dir, "admin")
			if err := os.CopyFS(filepath.Join(dir, "admin"), os.DirFS(filepath.Join(another, "admin"))); err != nil {
				t.Fatal(err)
			}
		}, "", "belongs to another deployment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			roots := filepath.Join(dir, "phone", "roots.pem")
			before := read(t, roots)
			tt.change(t, dir)
			done, err := deploy.Init(t.Context(), options(t, dir))
			if done != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("%q, %v; want %q, %q", done, err, tt.want, tt.err)
			}
			if after := read(t, roots); bytes.Equal(after, before) != (tt.want != deploy.Made) {
				t.Error("the authority was made anew, or was not, against what is said")
			}
			if err != nil {
				return
			}
			for _, role := range deployment.Roles() {
				if _, err := deployment.Open(dir, role); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func remove(t *testing.T, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if _, err := os.Stat(name); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A new release carries the secrets that it is given, and all else as before, signed by the
// same developer, for all who take it from the store.
func TestRelease(t *testing.T) {
	dir := made(t)
	for way, path := range programs(t) {
		t.Setenv("KEYLADDER_APP_PROGRAM_"+strings.ToUpper(string(way)), path)
	}
	before := settings(t, dir, deployment.Phone)["harbour-bank-2.pkg"]
	names, err := deploy.Release(t.Context(), dir, catalog.All(), map[string]deploy.Credentials{
		"harbour-mobile": {Key: "k-app", Secret: "new of the app", ClientSecret: "OAuth of the app"},
		"harbour-ops":    {Key: "k-staff", Secret: "new of the staff", ClientSecret: "OAuth of the staff"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []deployment.Role{deployment.Phone, deployment.Admin, deployment.Attacker} {
		found := settings(t, dir, role)
		if packed := slices.Sorted(maps.Keys(found)); !slices.Equal(packed, names) {
			t.Errorf("%s has %q, packed are %q", role, packed, names)
		}
		for name, got := range found {
			app, key, secret := "harbour-mobile", "k-app", "new of the app"
			if strings.HasPrefix(name, "harbour-ops") {
				app, key, secret = "harbour-ops", "k-staff", "new of the staff"
			}
			if strings.HasSuffix(name, "-3.pkg") { // without secrets
				secret = ""
			}
			if got.App != app || got.ClientID != key || got.SharedSecret != secret {
				t.Errorf("%s in %s is of %q, with the key %q and the secret %q", name, role, got.App, got.ClientID, got.SharedSecret)
			}
		}
	}
	after := settings(t, dir, deployment.Phone)["harbour-bank-2.pkg"]
	before.SharedSecret, before.ClientSecret, before.ClientID = after.SharedSecret, after.ClientSecret, after.ClientID
	if diff := cmp.Diff(before, after, cmp.AllowUnexported(catalog.Duration{})); diff != "" {
		t.Errorf("more than key and secret has changed: %s", diff)
	}
}
