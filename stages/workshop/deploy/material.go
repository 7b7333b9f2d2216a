package deploy

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/errgroup"

	sealing "keyladder/backend/mediator/secrets"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
)

// passwordCost is the first of OWASP's choices for Argon2id.
var passwordCost = &argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

type material struct {
	server, auth, liteAuth, attest, mediator, rates, backup, terminator pki.Pair
	serverCA, clientCA, manage                                          *pki.CA
	maker                                                               maker               // of devices
	attester                                                            *ecdsa.PrivateKey   // signs client attestations
	clients                                                             map[string]pki.Pair // by client ID
	developer                                                           ed25519.PrivateKey
	secrets                                                             map[string]string // by key, shared by app and API where calls are signed
	clientSecrets                                                       map[string]string // by client, of OAuth
	liteSecrets                                                         map[string]string // by client, at the provider lite
	ratesKey                                                            string            // of the bank, with the third party's rates API
	passwords                                                           map[string]string // by user
	sessionsKey                                                         []byte            // 256 bits in hex, under which the mediator keeps what is secret
	answers                                                             jwk.Key           // with which it signs answers
	users                                                               []byte            // users.json, with the passwords' hashes
}

func generate(cost *argon2id.Params) (m *material, err error) {
	m = &material{clients: map[string]pki.Pair{}, secrets: map[string]string{}, clientSecrets: map[string]string{}, liteSecrets: map[string]string{}, passwords: map[string]string{}}
	steps := []func() error{
		func() (err error) { m.serverCA, err = pki.NewLocalCA("Keyladder workshop CA"); return },
		func() (err error) { m.clientCA, err = pki.NewCA("Harbour Bank app CA"); return },
		func() (err error) { m.manage, err = pki.NewCA("Keyladder management CA"); return },
		func() (err error) { m.server, err = m.serverCA.Server("Harbour Bank API", pki.LocalHosts...); return },
		func() (err error) {
			m.auth, err = m.serverCA.Server("Harbour Bank authorization server", pki.LocalHosts...)
			return
		},
		func() (err error) {
			m.liteAuth, err = m.serverCA.Server("Harbour Lite authorization server", pki.LocalHosts...)
			return
		},
		func() (err error) {
			m.attest, err = m.serverCA.Server("Harbour Bank attestation service", pki.LocalHosts...)
			return
		},
		func() (err error) {
			m.mediator, err = m.serverCA.Server("Harbour Bank mediator", pki.LocalHosts...)
			return
		},
		func() (err error) { m.rates, err = m.serverCA.Server("Lighthouse Rates", pki.LocalHosts...); return },
		func() (err error) {
			m.backup, err = m.serverCA.Server("Harbour Bank API, backup", pki.LocalHosts...)
			return
		},
		func() (err error) { m.terminator, err = m.manage.Client("terminator"); return },
		func() (err error) { m.maker, err = newMaker(); return },
		func() (err error) { m.attester, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return },
		func() (err error) { _, m.developer, err = ed25519.GenerateKey(rand.Reader); return },
	}
	for _, app := range apps {
		steps = append(steps, func() (err error) { m.clients[app.ID], err = m.clientCA.Client(app.ID); return })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for _, app := range apps {
		if app.Kind != manage.Partner {
			m.secrets[app.ID] = rand.Text() + rand.Text() // 260 random bits
		}
	}
	for _, client := range clientsOfOAuth(nil) {
		if !client.Public {
			m.clientSecrets[client.ID] = rand.Text() + rand.Text()
		}
		if client.ServersKey != "" {
			m.clientSecrets[client.ServersKey] = rand.Text() + rand.Text()
		}
	}
	for _, client := range clientsOfLite(nil) {
		m.liteSecrets[client.ID] = rand.Text() + rand.Text()
	}
	m.ratesKey = rand.Text() + rand.Text()
	for _, user := range people {
		m.passwords[user.Name] = user.Name + "-" + strings.ToLower(rand.Text()[:16])
	}
	bits := make([]byte, 32)
	rand.Read(bits) // never fails
	m.sessionsKey = []byte(hex.EncodeToString(bits))
	if m.answers, err = m.answersKey(); err != nil {
		return nil, err
	}
	m.users, err = m.hashed(cmp.Or(cost, passwordCost))
	return m, err
}

// answersKey is the public half of the key that the mediator derives for its answers.
func (m *material) answersKey() (jwk.Key, error) {
	key, err := sealing.Read(m.sessionsKey)
	if err != nil {
		return jwk.Key{}, err
	}
	answers, err := key.Answers()
	if err != nil {
		return jwk.Key{}, err
	}
	return jwk.Of(&answers.PublicKey)
}

// registry is the seed of a registry of clients.
func (m *material) registry(of []manage.App) ([]byte, error) {
	seeded := slices.Clone(of)
	for i := range seeded {
		if pair, ok := m.clients[seeded[i].ID]; ok {
			p, err := pinOf(pair)
			if err != nil {
				return nil, err
			}
			seeded[i].Certificates = []string{string(p)}
		}
		if seeded[i].Tier == "" && seeded[i].PerSecond == 0 {
			seeded[i].PerSecond, seeded[i].Burst = 200, 600
		}
	}
	return json.MarshalIndent(seeded, "", "  ")
}

func pinOf(pair pki.Pair) (pin.Pin, error) {
	certificate, err := pki.Certificate(pair.Certificate)
	if err != nil {
		return "", err
	}
	return pin.Of(certificate), nil
}

// hashed is what the resource server knows about people.
func (m *material) hashed(cost *argon2id.Params) ([]byte, error) {
	users := slices.Clone(people)
	var all errgroup.Group
	for i := range users {
		all.Go(func() (err error) {
			users[i].PasswordHash, err = argon2id.CreateHash(m.passwords[users[i].Name], cost)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return json.MarshalIndent(users, "", "  ")
}
