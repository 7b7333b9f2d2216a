package references

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/attestsvc/history"
	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/pin"
)

// Who signs packages.
var (
	developer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	successor = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
)

func pinOf(t testing.TB, key ed25519.PrivateKey) string {
	return string(testenv.Must[pin.Pin](t)(pin.OfKey(key.Public())))
}

// pack makes a package of the app. Its program is what it is named after.
func pack(t testing.TB, number int, program string, key ed25519.PrivateKey) []byte {
	t.Helper()
	return testenv.Must[[]byte](t)(release.Assemble([]byte(program), release.Manifest{Name: "com.example.app", Label: "App", Release: number}, nil, key))
}

func measured(t testing.TB, pkg []byte) attestation.Measurement {
	return testenv.Must[attestation.Measurement](t)(attestation.Measure(bytes.NewReader(pkg)))
}

// place is where a service has its files.
type place struct {
	dir string
	now time.Time
}

func newPlace(t *testing.T) *place {
	return &place{dir: t.TempDir(), now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
}

// open opens the references there, as a service does that starts.
func (p *place) open(t *testing.T) *Store {
	t.Helper()
	db, err := store.Open(filepath.Join(p.dir, "references.db"), slices.Concat(history.Models(), Models())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	known := []Known{{Client: "app", Package: "com.example.app", Signer: pinOf(t, developer)}}
	return testenv.Must[*Store](t)(Open(t.Context(), db, Config{Known: known, Published: p.dir, Kept: filepath.Join(p.dir, "kept"), Now: func() time.Time { return p.now }}))
}

func (p *place) publish(t *testing.T, name string, pkg []byte) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := errors.Join(os.WriteFile(path+".new", pkg, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func register(t *testing.T, s *Store, pkg []byte) string {
	t.Helper()
	return testenv.Must[string](t)(s.Register(t.Context(), bytes.NewReader(pkg)))
}

func whats(events []manage.Event) (list []string) {
	for _, event := range events {
		list = append(list, event.What)
	}
	return list
}

// only is the reference there is.
func only(t *testing.T, s *Store) manage.Reference {
	t.Helper()
	all := testenv.Must[[]manage.Reference](t)(s.List(t.Context()))
	if len(all) != 1 {
		t.Fatalf("there are %+v", all)
	}
	return all[0]
}

// What happened to packages and signers is there after a restart, with all of its history, and counts.
func TestRestart(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.open(t)
	pkg := pack(t, 1, "one", developer)
	id := register(t, s, pkg)
	begin := p.now
	for _, change := range []func() error{
		func() error { return s.Withdraw(t.Context(), id) },
		func() error { return s.Withdraw(t.Context(), id) }, // it is already
		func() error { return s.Restore(t.Context(), id) },
		func() error { return s.Restore(t.Context(), id) },
		func() error { return s.Withdraw(t.Context(), id) },
		func() error {
			return s.ChangeSigner(t.Context(), manage.SignerToAccept{Client: "app", Signer: pinOf(t, successor)})
		},
		func() error {
			return s.ChangeSigner(t.Context(), manage.SignerToAccept{Client: "app", Signer: pinOf(t, developer), Withdraw: true})
		},
	} {
		p.now = p.now.Add(time.Hour)
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range map[string]*Store{"as it runs": s, "after a restart": p.open(t)} {
		r := only(t, s)
		if want := []string{registered, withdrawn, again, withdrawn}; !slices.Equal(whats(r.History), want) {
			t.Errorf("%s: what happened to it: %q, want %q", name, whats(r.History), want)
		}
		if r.Client != "app" || r.Release != 1 || r.Size != int64(len(pkg)) || r.SHA256 != id || !r.RegisteredAt.Equal(begin) ||
			r.WithdrawnAt == nil || !r.WithdrawnAt.Equal(begin.Add(5*time.Hour)) || !r.History[3].At.Equal(*r.WithdrawnAt) {
			t.Errorf("%s: %+v", name, r)
		}
		found, ok := s.Measured("app", 1, measured(t, pkg))
		if !ok || !found.Withdrawn || !found.SignerWithdrawn {
			t.Errorf("%s: measured, it is %+v, %v", name, found, ok)
		}
		file, err := found.Open()
		if err != nil {
			t.Fatal(err)
		}
		if got := testenv.Must[attestation.Measurement](t)(attestation.Measure(file)); got != measured(t, pkg) {
			t.Errorf("%s: kept is another package", name)
		}
		file.Close()
		signers := testenv.Must[[]manage.Signer](t)(s.Signers(t.Context()))
		if len(signers) != 2 || signers[0].WithdrawnAt == nil || signers[1].WithdrawnAt != nil || !slices.Equal(whats(signers[0].History), []string{accepted, withdrawn}) ||
			!slices.Equal(whats(signers[1].History), []string{accepted}) {
			t.Errorf("%s: signers %+v", name, signers)
		}
	}
}

// Which package is asked about: the one of that size, or else the newest; one that is not withdrawn,
// if there is one; and any, where the release is unknown.
func TestChallenged(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.open(t)
	if _, _, err := s.Challenged("app", 1, 0); !errors.Is(err, ErrNone) {
		t.Errorf("of a client without packages: %v", err)
	}
	ids, sizes := map[string]string{}, map[string]int64{}
	for _, program := range []string{"old", "longer than the old one", "the newest"} {
		pkg := pack(t, 1, program, developer)
		ids[program], sizes[program] = register(t, s, pkg), int64(len(pkg))
		p.now = p.now.Add(time.Minute)
	}
	for _, tt := range []struct {
		name    string
		release int
		size    int64
		gone    string
		want    string
		known   bool
	}{
		{"its size is not said", 1, 0, "", "the newest", true},
		{"a size of none", 1, 1, "", "the newest", true},
		{"the size of an older one", 1, sizes["old"], "", "old", true},
		{"a release that there is not", 2, sizes["old"], "", "the newest", false},
		{"the newest is withdrawn", 1, 0, "the newest", "longer than the old one", true},
		{"the one of that size is withdrawn", 1, sizes["the newest"], "the newest", "longer than the old one", true},
	} {
		if tt.gone != "" {
			if err := s.Withdraw(t.Context(), ids[tt.gone]); err != nil {
				t.Fatal(err)
			}
		}
		chosen, known, err := s.Challenged("app", tt.release, tt.size)
		if err != nil || string(chosen.SHA256) != ids[tt.want] || known != tt.known {
			t.Errorf("%s: %+v, %v, %v, want %s", tt.name, chosen, known, err, tt.want)
		}
		if tt.gone != "" {
			if err := s.Restore(t.Context(), ids[tt.gone]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, ok := s.Measured("app", 2, attestation.Measurement(ids["old"])); ok {
		t.Error("a package is one of another release")
	}
	if _, ok := s.Measured("another", 1, attestation.Measurement(ids["old"])); ok {
		t.Error("a package is one of another client")
	}
	for id := range ids {
		if err := s.Withdraw(t.Context(), ids[id]); err != nil {
			t.Fatal(err)
		}
	}
	for what, got := range map[string]string{
		"all packages of the release are withdrawn": s.Current("app", 1), "no package of release 2 is known": s.Current("app", 2), ErrNone.Error(): s.Current("another", 1),
	} {
		if got != what {
			t.Errorf("expected is %q, want %q", got, what)
		}
	}
}

// What is published is registered once. What can't be is told of once, leaves nothing behind, and is
// looked at again when its signer is accepted.
func TestScan(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.open(t)
	first, others := pack(t, 1, "one", developer), pack(t, 2, "two", successor)
	p.publish(t, "a.pkg", first)
	p.publish(t, "b.pkg", others)
	p.publish(t, "c.pkg", []byte("no package"))
	p.publish(t, "d.txt", first)
	err := s.Scan(t.Context())
	if !errors.Is(err, ErrSigner) || !errors.Is(err, ErrPackage) || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("it tells of %v", err)
	}
	if err := s.Scan(t.Context()); err != nil {
		t.Errorf("another time it tells of %v", err)
	}
	if r := only(t, s); r.SHA256 != string(measured(t, first)) || len(r.History) != 1 {
		t.Errorf("%+v", r)
	}
	if err := s.ChangeSigner(t.Context(), manage.SignerToAccept{Client: "app", Signer: pinOf(t, successor)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Scan(t.Context()); !errors.Is(err, ErrPackage) || errors.Is(err, ErrSigner) {
		t.Errorf("when the signer is accepted: %v", err)
	}
	if _, ok := s.Measured("app", 2, measured(t, others)); !ok {
		t.Error("its package is no reference")
	}
	if kept := testenv.Must[[]os.DirEntry](t)(os.ReadDir(s.config.Kept)); len(kept) != 2 {
		t.Errorf("kept are %v", kept)
	}
	if data := testenv.Must[[]byte](t)(os.ReadFile(filepath.Join(p.dir, "a.pkg"))); !bytes.Equal(data, first) {
		t.Error("what is published was changed")
	}
}

// What a service that was killed has begun to register is no reference, and no rubbish for long: the
// next one removes it, and registers the package.
func TestHalfRegistered(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	pkg := pack(t, 1, "one", developer)
	kept := p.open(t).config.Kept
	for name, data := range map[string][]byte{
		".123.partial": pkg[:10], ".taken.partial": pkg, // in the middle of an upload, and of a scan
		string(measured(t, pkg)) + ".pkg": pkg, // it has its name, and the database does not know yet
	} {
		if err := os.WriteFile(filepath.Join(kept, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := p.open(t)
	if _, ok := s.Measured("app", 1, measured(t, pkg)); ok {
		t.Error("it is a reference")
	}
	p.publish(t, "a.pkg", pkg)
	if err := s.Scan(t.Context()); err != nil {
		t.Error(err)
	}
	if r := only(t, s); r.SHA256 != string(measured(t, pkg)) {
		t.Errorf("%+v", r)
	}
	if left := testenv.Must[[]os.DirEntry](t)(os.ReadDir(kept)); len(left) != 1 {
		t.Errorf("kept are %v", left)
	}
}

// Changes that come at the same time are all made, each once, and what is in memory is what is on
// disk.
func TestChangesAtTheSameTime(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.open(t)
	one := register(t, s, pack(t, 1, "one", developer))
	var all sync.WaitGroup
	do := func(change func() error) {
		all.Go(func() {
			if err := change(); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 4 {
		do(func() error { return s.Withdraw(t.Context(), one) })
		do(func() error {
			_, err := s.Register(t.Context(), bytes.NewReader(pack(t, 2, "the same", developer)))
			return err
		})
		do(func() error {
			_, err := s.Register(t.Context(), bytes.NewReader(pack(t, 3, fmt.Sprint(i), developer)))
			return err
		})
		do(func() error {
			return s.ChangeSigner(t.Context(), manage.SignerToAccept{Client: "app", Signer: pinOf(t, successor)})
		})
		do(func() error {
			_, _, err := s.Challenged("app", 1, 0)
			return err
		})
	}
	all.Wait()
	for name, s := range map[string]*Store{"as it runs": s, "after a restart": p.open(t)} {
		found := testenv.Must[[]manage.Reference](t)(s.List(t.Context()))
		if len(found) != 6 {
			t.Errorf("%s: %d references", name, len(found))
		}
		for _, r := range found {
			want := []string{registered}
			if r.SHA256 == one {
				want = append(want, withdrawn)
			}
			if !slices.Equal(whats(r.History), want) {
				t.Errorf("%s: release %d: %q, want %q", name, r.Release, whats(r.History), want)
			}
		}
		signers := testenv.Must[[]manage.Signer](t)(s.Signers(t.Context()))
		if len(signers) != 2 || len(signers[1].History) != 1 {
			t.Errorf("%s: signers %+v", name, signers)
		}
	}
}

// What names nothing changes nothing.
func TestChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newPlace(t).open(t)
	for name, tt := range map[string]struct {
		change func() error
		want   error
		theirs bool // it is about what was sent
	}{
		"withdraw what is no reference": {func() error { return s.Withdraw(t.Context(), "abc") }, ErrNoReference, false},
		"restore what is no reference":  {func() error { return s.Restore(t.Context(), "abc") }, ErrNoReference, false},
		"a pin that is none": {func() error {
			return s.ChangeSigner(t.Context(), manage.SignerToAccept{Client: "app", Signer: "sha256/abc"})
		}, ErrPin, true},
		"a client that there is not": {func() error {
			return s.ChangeSigner(t.Context(), manage.SignerToAccept{Client: "nobody", Signer: pinOf(t, successor)})
		}, ErrClient, true},
		"a package of a stranger": {func() error {
			_, err := s.Register(t.Context(), bytes.NewReader(pack(t, 1, "one", successor)))
			return err
		}, ErrSigner, true},
	} {
		if err := tt.change(); !errors.Is(err, tt.want) || Refused(err) != tt.theirs {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if err := s.ChangeSigner(t.Context(), manage.SignerToAccept{Client: "app", Signer: pinOf(t, successor), Withdraw: true}); err != nil {
		t.Errorf("withdraw a signer who never was one: %v", err)
	}
	signers := testenv.Must[[]manage.Signer](t)(s.Signers(t.Context()))
	if found := testenv.Must[[]manage.Reference](t)(s.List(t.Context())); len(found) != 0 || len(signers) != 1 || len(signers[0].History) != 1 {
		t.Errorf("there are %+v and %+v", found, signers)
	}
	if left := testenv.Must[[]os.DirEntry](t)(os.ReadDir(s.config.Kept)); len(left) != 0 {
		t.Errorf("kept are %v", left)
	}
}

// A reset forgets all but what is published and whom the deployment knows.
func TestReset(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.open(t)
	published := pack(t, 1, "one", developer)
	p.publish(t, "a.pkg", published)
	if err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	register(t, s, pack(t, 2, "uploaded", developer))
	for _, signer := range []manage.SignerToAccept{{Client: "app", Signer: pinOf(t, successor)}, {Client: "app", Signer: pinOf(t, developer), Withdraw: true}} {
		if err := s.ChangeSigner(t.Context(), signer); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Withdraw(t.Context(), string(measured(t, published))); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, signers := only(t, s), testenv.Must[[]manage.Signer](t)(s.Signers(t.Context()))
	if r.SHA256 != string(measured(t, published)) || r.WithdrawnAt != nil || len(r.History) != 1 || len(signers) != 1 || signers[0].WithdrawnAt != nil || len(signers[0].History) != 1 {
		t.Errorf("%+v, %+v", r, signers)
	}
}
