package lab_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/releasetest"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// knownSecrets are all that a deployment knows: what its folders have in files of secrets and
// passwords, all private keys, and what its databases have in columns of that name.
func knownSecrets(t *testing.T, dir string) releasetest.Needles {
	t.Helper()
	found := releasetest.Needles{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case entry.Name() == "secrets.json" || entry.Name() == "passwords.json":
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var secrets map[string]string
			if err := json.Unmarshal(data, &secrets); err != nil {
				return err
			}
			for id, secret := range secrets {
				found[name+": "+id] = []byte(secret)
			}
		case entry.Name() == "providers.json":
			return providersSecrets(path, name, found)
		case entry.Name() == deployment.ForwardingKey:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var key token.Key
			err = json.Unmarshal(data, &key)
			found[name] = []byte(key.Secret)
			return err
		case filepath.Ext(path) == ".key":
			data, err := os.ReadFile(path)
			found[name] = bytes.TrimSpace(data)
			return err
		case filepath.Ext(path) == ".db":
			return secretColumns(path, name, found)
		case filepath.Ext(path) != ".pkg":
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return privateKeys(data, name, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	where := map[string][]string{} // one secret can be in several places
	for name, secret := range found {
		where[string(secret)] = append(where[string(secret)], name)
	}
	known := releasetest.Needles{}
	for secret, names := range where {
		slices.Sort(names)
		known[strings.Join(names, ", ")] = []byte(secret)
	}
	return known
}

// privateKeys are those that a file has as PEM: their secret numbers, without what all keys of a kind
// have in common.
func privateKeys(data []byte, name string, found releasetest.Needles) error {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			parsed, err = x509.ParseECPrivateKey(block.Bytes)
		}
		switch key := parsed.(type) {
		case *ecdsa.PrivateKey:
			found[name], err = key.Bytes()
		case ed25519.PrivateKey:
			found[name] = key.Seed()
		default:
			err = fmt.Errorf("%s: a key of another kind: %T, %w", name, parsed, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// providersSecrets are those that the mediator shows to providers.
func providersSecrets(path, name string, found releasetest.Needles) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var providers []manage.Provider
	if err := json.Unmarshal(data, &providers); err != nil {
		return err
	}
	for _, provider := range providers {
		found[name+": "+provider.Name] = []byte(provider.Secret)
		for app, secret := range provider.Apps {
			found[name+": "+provider.Name+", "+app] = []byte(secret)
		}
	}
	return nil
}

func secretColumns(path, name string, found releasetest.Needles) error {
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	columns, err := list(db, `SELECT t.name || '.' || c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND c.name LIKE '%secret%' AND c.name NOT LIKE '%hash%' AND c.name NOT LIKE '%changed%'`)
	if err != nil {
		return err
	}
	for _, column := range columns {
		table, column, _ := strings.Cut(string(column), ".")
		secrets, err := list(db, fmt.Sprintf("SELECT %q FROM %q WHERE length(%q) > 0", column, table, column))
		if err != nil {
			return err
		}
		for i, secret := range secrets {
			found[fmt.Sprintf("%s: %s %d", name, table, i+1)] = secret
		}
	}
	return nil
}

func list(db *sql.DB, query string) (all [][]byte, err error) {
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one []byte
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, bytes.Clone(one))
	}
	return all, rows.Err()
}

// TestNoSecretOfTheDeploymentInTheApp uses the installed app where it carries no secret, and searches its package and
// the memory of its process for everything secret that the deployment knows. The same search finds
// what earlier releases have.
func TestNoSecretOfTheDeploymentInTheApp(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	first := func(fits func(catalog.Policies) bool) catalog.Stage {
		built := catalog.All().Built()
		i := slices.IndexFunc(built, func(s catalog.Stage) bool { return fits(s.Policies) })
		if i < 0 {
			t.Fatal("no stage fits")
		}
		return built[i]
	}
	secretless := first(func(p catalog.Policies) bool { return p.Package.Secrets == catalog.NoSecrets })
	l := start(t, lab.Options{Settings: testbank.ManyCalls()})
	type row struct {
		stage             catalog.Stage
		inPackage, inHeap []string // of what has to be found, at least
	}
	rows := []row{
		{first(func(p catalog.Policies) bool { return p.Call.AppProof == catalog.Hawk }), []string{"resource/secrets.json: harbour-mobile", "offline/apps/harbour-mobile-key.pem"}, []string{"resource/secrets.json: harbour-mobile"}},
		{first(func(p catalog.Policies) bool {
			return p.Call.ClientAuth == catalog.ClientSecret && p.Package.Secrets == catalog.HiddenSecrets
		}), nil, []string{"auth/secrets.json: harbour-mobile"}},
		{secretless, nil, nil},
	}
	for _, stage := range catalog.All().Built() {
		if stage.Call.Gateway == catalog.ThroughGateway { // where the app gets what the bank has a key for
			rows = append(rows, row{stage: stage})
			break
		}
	}
	for _, test := range rows {
		t.Run(test.stage.Slug, func(t *testing.T) {
			app := atBankOf(t, l, test.stage, "alice")
			inHeap := map[string]string{}
			if test.stage.Call.UserProof != catalog.NoUser {
				app.signIn()
			}
			secrets := knownSecrets(t, l.Dir)
			find := secrets.Finder()
			look := func() {
				t.Helper()
				if _, err := debugger.EachWritable(t.Context(), app.app.PID(), func(_ uint64, data []byte) { maps.Copy(inHeap, find(data)) }); err != nil {
					t.Fatal(err)
				}
			}
			look()
			for range 3 {
				served(t, "rates", func() (device.Screen, error) { return app.app.Rates(t.Context()) })
				served(t, "accounts", app.accounts)
				if test.stage.Call.Gateway == catalog.ThroughGateway {
					served(t, "market rates", func() (device.Screen, error) { return app.app.MarketRates(t.Context()) })
				}
				look()
			}
			if test.stage.Call.UserProof != catalog.NoUser {
				if _, err := app.app.SignOut(t.Context()); err != nil {
					t.Fatal(err)
				}
				look()
			}
			path := app.app.Package().Path
			program, _, assets, err := release.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			inPackage := find(file)
			for _, data := range append(slices.Collect(maps.Values(assets)), program) {
				maps.Copy(inPackage, find(data))
			}
			compare(t, "the package", inPackage, test.inPackage)
			compare(t, "memory", inHeap, test.inHeap)
			known := strings.Join(slices.Collect(maps.Keys(secrets)), ", ")
			for _, name := range []string{"mediator/secrets.json: market-rates", "mediator/providers.json: bank", "mediator/providers.json: lite", "mediator/sessions.key", "mediator/" + deployment.ForwardingKey, "lite/secrets.json: harbour-api"} {
				if !strings.Contains(known, name) {
					t.Errorf("nothing is searched for that is %s", name)
				}
			}
			if len(secrets) < 25 {
				t.Errorf("the deployment knows %d secrets, which are too few: %v", len(secrets), slices.Collect(maps.Keys(secrets)))
			}
		})
	}
}

// compare says what was found that should not have been, or was not and should have been.
func compare(t *testing.T, where string, found map[string]string, want []string) {
	t.Helper()
	for _, what := range want {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(name string) bool { return strings.Contains(name, what) }) {
			t.Errorf("%s: the search does not find %s", where, what)
		}
	}
	for what, how := range found {
		if len(want) == 0 {
			t.Errorf("%s has the secret of %s, as %s", where, what, how)
		}
	}
}
