package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"keyladder/attestsvc/makers"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
)

func execute(ctx context.Context, args ...string) error {
	cmd := command()
	cmd.SetArgs(args)
	return cmd.ExecuteContext(ctx)
}

// free is an address on which nobody listens just now.
func free(t *testing.T) string {
	t.Helper()
	l := testenv.FreePort(t)
	defer l.Close()
	return l.Addr().String()
}

// The program serves out of its folder until it is told to end, and says when it can't do its work:
// here it has no authorization server to ask.
func TestProgram(t *testing.T) {
	t.Parallel()
	dir, service, management := t.TempDir(), free(t), free(t)
	addresses := deployment.Addresses{Public: map[deployment.ServiceName]string{
		deployment.AttestationService: "https://" + service, deployment.Manage(deployment.Attestation): "https://" + management,
		deployment.Manage(deployment.Auth): "https://" + free(t),
	}}
	w, err := deployment.NewWriter(dir, deployment.Attestation, "test", time.Now(), addresses)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ca.Peer("attestsvc", "localhost", "127.0.0.1", "attestsvc")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	attester, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		w.Pair("manage", peer), w.Pair("server", peer), w.File("manage-ca.pem", ca.Certificate), w.File("references.json", []byte("[]")),
		w.File(makers.RootsFile, ca.Certificate), w.File(makers.KnownFile, []byte("{}")),
		w.File(deployment.AttesterKeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: attester})), w.Close())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- execute(ctx, "--data", dir) }()
	folder, err := deployment.Open(dir, deployment.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	client, err := manage.NewClient(folder, deployment.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	testenv.Within(t, 20*time.Second, "it says what it lacks", func() bool {
		err := client.Healthy(t.Context())
		return err != nil && strings.Contains(err.Error(), "nobody can attest")
	})
	if err := execute(t.Context(), "healthcheck", "--data", dir); err == nil || !strings.Contains(err.Error(), "nobody can attest") {
		t.Errorf("the health check says %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWithoutDeployment(t *testing.T) {
	t.Parallel()
	if err := execute(t.Context(), "--data", t.TempDir()); err == nil || !strings.Contains(err.Error(), "stages init") {
		t.Errorf("got %v", err)
	}
}
