package deploy

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/stages/catalog"
)

// AnswersFile is the public key with which the API signs its answers, as a JSON Web Key, in the folder of
// [deployment.Offline].
const AnswersFile = "answers.json"

// ClientIDs are the apps that there are packages of.
func ClientIDs() []string {
	var ids []string
	for _, product := range products {
		ids = append(ids, product.clientID)
	}
	return ids
}

// ErrNoKey means that the bank accepts no key of an app any more.
var ErrNoKey = errors.New("all its keys are revoked: issue one, or restore one, first")

// Valid asks the servers for what is valid now: the newest key of each app that is not revoked,
// its secret, and its client secret at the authorization server.
func Valid(ctx context.Context, resource, auth manage.Doer) (map[string]Credentials, error) {
	apps, err := manage.Get[[]manage.App](ctx, resource, "/apps")
	if err != nil {
		return nil, fmt.Errorf("ask for the apps' keys: %w", err)
	}
	valid := map[string]Credentials{}
	for _, app := range apps {
		if !slices.Contains(ClientIDs(), app.ID) {
			continue
		}
		keys := slices.DeleteFunc(slices.Clone(app.Keys), func(k manage.Key) bool { return k.RevokedAt != nil })
		if len(keys) == 0 {
			return nil, fmt.Errorf("pack %s: %w", app.ID, ErrNoKey)
		}
		newest := slices.MaxFunc(keys, func(a, b manage.Key) int { return a.CreatedAt.Compare(b.CreatedAt) })
		secret, err := secretOf(ctx, resource, newest.ID)
		if err != nil {
			return nil, err
		}
		clientSecret, err := secretOf(ctx, auth, app.ID)
		if err != nil {
			return nil, err
		}
		valid[app.ID] = Credentials{Key: newest.ID, Secret: secret, ClientSecret: clientSecret}
	}
	return valid, nil
}

func secretOf(ctx context.Context, server manage.Doer, key string) (string, error) {
	secret, err := manage.Get[manage.Secret](ctx, server, "/keys/"+url.PathEscape(key)+"/secret")
	if err != nil {
		return "", fmt.Errorf("ask for the secret of the key %s: %w", key, err)
	}
	return secret.Secret, nil
}

// Release packs and signs all apps anew with what is valid now, see [Valid], and puts the
// packages where phones, admin and attackers find the old ones. It returns their names.
func Release(ctx context.Context, dir string, stages catalog.Set, credentials map[string]Credentials) ([]string, error) {
	offline, err := deployment.Open(dir, deployment.Offline)
	if err != nil {
		return nil, err
	}
	o := Options{Stages: stages}
	done, err := o.build(ctx)
	defer done()
	if err != nil {
		return nil, err
	}
	options := PackOptions{
		Programs: o.Programs, Stages: stages, Addresses: offline.Addresses,
		Credentials: credentials, Clients: map[string]pki.Pair{},
	}
	if options.Developer, err = DeveloperKey(offline); err != nil {
		return nil, err
	}
	for _, id := range ClientIDs() {
		if options.Clients[id], err = pairOf(offline, "apps/"+id); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"server.pem", "auth.pem", "attestsvc.pem", "mediator.pem", "server-backup.pem"} { // in the order of use
		certificate, err := offline.Read(name)
		if err != nil {
			return nil, err
		}
		options.Servers = append(options.Servers, pki.Pair{Certificate: certificate})
	}
	if err := offline.JSON(AnswersFile, &options.Answers); err != nil {
		return nil, err
	}
	packages, err := Pack(options)
	if err != nil {
		return nil, err
	}
	for _, role := range withPackages {
		folder, err := deployment.Open(dir, role)
		if err != nil {
			return nil, err
		}
		if err := folder.Replace(packages); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(packages)), nil
}

// DeveloperKey is the key with which the bank's packages are signed, out of the folder of
// [deployment.Offline].
func DeveloperKey(offline *deployment.Folder) (ed25519.PrivateKey, error) {
	data, err := offline.Read("developer-key.pem")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("developer-key.pem holds no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read developer-key.pem: %w", err)
	}
	developer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("developer-key.pem holds no Ed25519 key")
	}
	return developer, nil
}

func pairOf(folder *deployment.Folder, name string) (pair pki.Pair, err error) {
	if pair.Certificate, err = folder.Read(name + ".pem"); err != nil {
		return pair, err
	}
	pair.Key, err = folder.Read(name + "-key.pem")
	return pair, err
}
