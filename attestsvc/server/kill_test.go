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
	"slices"
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
	var listeners server.Listeners
	for _, l := range []*net.Listener{&listeners.TLS, &listeners.Manage} {
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	fmt.Println(listeners.TLS.Addr(), listeners.Manage.Addr())
	return service.Serve(context.Background(), listeners)
}

// process starts a service on the world's folder, and returns the client of its management and how it
// is killed.
func (w *world) process(t *testing.T) (base string, admin *manage.Client, kill func()) {
	t.Helper()
	said, kill := testenv.Process(t, serviceFolder, w.dir)
	folder := w.folder(t, deployment.Admin)
	folder.Addresses.Public = map[deployment.ServiceName]string{deployment.Manage(deployment.Attestation): "https://" + said[1]}
	admin = testenv.Must[*manage.Client](t)(manage.NewClient(folder, deployment.Attestation))
	t.Cleanup(admin.Close)
	return "https://" + said[0], admin, kill
}

// changed counts what an admin has changed back and forth, as far as the service has said that it is
// done.
type changed struct{ withdrawals, decisions, bans int }

// change does so until the service is killed, the other way round than it is, and says when it has done
// all once.
func (c *changed) change(ctx context.Context, admin *manage.Client, release, device string, once func()) {
	references, err := manage.References(ctx, admin)
	banned, err2 := manage.Get[manage.AttestedDevice](ctx, admin, manage.AttestedDevicesPath+"/"+device)
	enforced, err3 := manage.Enforcements(ctx, admin)
	if errors.Join(err, err2, err3) != nil {
		return // it was killed before
	}
	gone := slices.ContainsFunc(references, func(r manage.Reference) bool { return r.SHA256 == release && r.WithdrawnAt != nil })
	out, watched := banned.BannedAt != nil, enforced[0].Claims[manage.Instance] == catalog.Watched
	for {
		if _, err := manage.WithdrawReference(ctx, admin, release, gone); err != nil {
			return
		}
		gone = !gone
		c.withdrawals++
		if _, err := manage.BanAttestedDevice(ctx, admin, device, out); err != nil {
			return
		}
		out = !out
		c.bans++
		policy := catalog.Watched
		if watched {
			policy = catalog.Enforced
		}
		if _, err := manage.Enforce(ctx, admin, manage.EnforcementChange{Stage: enforced[0].Stage, Claim: manage.Instance, Policy: policy}); err != nil {
			return
		}
		watched = !watched
		c.decisions++
		once()
	}
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

// TestKilledService kills the service again and again while apps attest and an admin changes what they
// are compared with. No result whose token an app has received is lost, and nothing that the admin was
// told is done; and nothing is half done.
func TestKilledService(t *testing.T) {
	t.Parallel()
	kills := 25
	if testing.Short() {
		kills = 4
	}
	w := start(t)
	old := pack(t, appPackage, 1, noise(4, 1000), developer)
	release := testenv.Must[manage.Reference](t)(manage.RegisterPackage(t.Context(), w.admin, old)).SHA256
	w.attests(t, byChallenge, mine(), w.pkg, attestation.Findings{})
	device := testenv.Must[manage.AttestedDeviceList](t)(manage.AttestedDevices(t.Context(), w.admin, manage.AttestedDeviceQuery{})).Devices[0].ID
	w.stop()
	var done changed
	measurement := testenv.Must[attestation.Measurement](t)(attestation.Measure(bytes.NewReader(w.pkg)))
	acknowledged := map[string]bool{} // references, and whether the app's token was good
	lost := 0
	changedAll := make(chan struct{}) // all that the admin changes, at least once
	once := sync.OnceFunc(func() { close(changedAll) })
	for life := range kills {
		base, admin, kill := w.process(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var mu sync.Mutex
		var all sync.WaitGroup
		got := make(chan struct{}, 10_000)
		all.Go(func() { done.change(ctx, admin, release, device, once) })
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
		if life == 0 { // of the others, some are too short for it
			select {
			case <-changedAll:
			case <-ctx.Done():
				t.Error("the admin changes nothing")
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
	t.Logf("%d results that were acknowledged are there; %d answers were lost; the admin has done %+v", len(acknowledged), lost, done)
	if len(acknowledged) < 3*kills || done.decisions == 0 {
		t.Errorf("there are %d results only, and %+v", len(acknowledged), done)
	}
	reference := w.reference(t, old)
	backAndForth(t, "the release", reference.History[1:], reference.WithdrawnAt != nil, "withdrawn", "accepted again", done.withdrawals, kills)
	banned := testenv.Must[manage.AttestedDevice](t)(manage.Get[manage.AttestedDevice](t.Context(), w.admin, manage.AttestedDevicesPath+"/"+device))
	backAndForth(t, "the device", banned.History, banned.BannedAt != nil, "banned", "ban lifted", done.bans, kills)
	versions := testenv.Must[[]manage.Enforcement](t)(manage.Enforcements(t.Context(), w.admin))[0]
	var decided []manage.Event
	for i, v := range versions.History {
		if v.Version != i+1 {
			t.Errorf("version %d of what is enforced follows version %d", v.Version, i)
		}
		decided = append(decided, manage.Event{What: string(v.Claims[manage.Instance])})
	}
	backAndForth(t, "what is enforced", decided[1:], versions.Claims[manage.Instance] == catalog.Watched, string(catalog.Watched), string(catalog.Enforced), done.decisions, kills)
}

// backAndForth says whether a history has all that was done, and at most what was under way beside it;
// each time the other way round; and whether it ends with what is so.
func backAndForth(t *testing.T, of string, events []manage.Event, is bool, forth, back string, done, kills int) {
	t.Helper()
	if len(events) < done || len(events) > done+kills {
		t.Errorf("%s: %d events, and %d were done", of, len(events), done)
	}
	for i, event := range events {
		if want := []string{forth, back}[i%2]; event.What != want {
			t.Errorf("%s: event %d is %q, want %q", of, i, event.What, want)
		}
	}
	if is != (len(events)%2 == 1) {
		t.Errorf("%s: it is so: %v, after %d events", of, is, len(events))
	}
}
