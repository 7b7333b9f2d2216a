package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/attestsvc/server"
	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

// serviceFolder is the variable that makes a service of the test's own program, on the folder that
// it names, so that a test can kill it.
const serviceFolder = "KEYLADDER_TEST_ATTESTSVC"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serviceFolder); dir != "" {
		fmt.Fprintln(os.Stderr, serveFolder(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveFolder(dir string) error {
	folder, err := deployment.Open(dir, deployment.Attestation)
	if err != nil {
		return err
	}
	config := server.Config{Folder: folder, Stages: catalog.All(), Logger: slog.New(slog.DiscardHandler)}.With(deployment.DefaultSettings)
	config.Address = guard.Limit{PerSecond: 1e6, Burst: 1e6}
	service, err := server.New(config)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return service.Serve(context.Background(), server.Listeners{TLS: l})
}

// process starts a service on the world's folder, and returns how it is killed.
func (w *world) process(t *testing.T) (base string, kill func()) {
	t.Helper()
	said, kill := testenv.Process(t, serviceFolder, w.dir)
	return "https://" + said[0], kill
}

// post is a call of a service that may be killed meanwhile.
func (w *world) post(ctx context.Context, url string, body, out any) (location string, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	response, err := w.http.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return "", fmt.Errorf("status %d", response.StatusCode)
	}
	data, err = io.ReadAll(response.Body)
	return response.Header.Get("Location"), errors.Join(err, json.Unmarshal(data, out))
}

// TestKilledService kills the service again and again while apps attest. No result whose token an
// app has received is lost.
func TestKilledService(t *testing.T) {
	t.Parallel()
	kills := 25
	if testing.Short() {
		kills = 4
	}
	w := start(t)
	w.stop()
	measurement := must[attestation.Measurement](t)(attestation.Measure(bytes.NewReader(w.pkg)))
	acknowledged := map[string]bool{} // references, and whether the app's token was good
	lost := 0
	for range kills {
		base, kill := w.process(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var mu sync.Mutex
		var all sync.WaitGroup
		got := make(chan struct{}, 10_000)
		for app := range 8 {
			all.Go(func() {
				for round := 0; ctx.Err() == nil; round++ {
					var session, answer attestation.Session
					path, err := w.post(ctx, base+"/"+byHash+attestation.SessionsPath, attestation.Opening{ClientID: "harbour-mobile", Release: 2, Device: fmt.Sprint("device-", app)}, &session)
					if err != nil { // killed, or it does not know the clients yet
						time.Sleep(5 * time.Millisecond)
						continue
					}
					evidence := attestation.Evidence{Measurement: measurement}
					if round%2 == 1 {
						evidence.Measurement = attestation.Measurement(strings.Repeat("0", 64))
					}
					if _, err := w.post(ctx, base+path, evidence, &answer); err != nil {
						mu.Lock()
						lost++
						mu.Unlock()
						continue
					}
					mu.Lock()
					acknowledged[answer.Result.Reference] = round%2 == 0
					mu.Unlock()
					select {
					case got <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 3 + mathrand.IntN(20) { // some rounds, and then in the middle of others
			select {
			case <-got:
			case <-ctx.Done():
				t.Error("nobody attests")
			}
		}
		time.Sleep(mathrand.N(3 * time.Millisecond))
		kill()
		cancel()
		all.Wait()
	}
	w.reopen(t)
	for reference, good := range acknowledged {
		found, err := manage.AttestationBy(t.Context(), w.admin, reference)
		if err != nil || found.Good != good {
			t.Errorf("%s: %+v, %v", reference, found, err)
		}
	}
	t.Logf("%d results that were acknowledged are there; %d answers were lost", len(acknowledged), lost)
	if len(acknowledged) < 3*kills {
		t.Errorf("there are %d results only", len(acknowledged))
	}
}
