package resource_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"keyladder/backend/ledger"
	"keyladder/internal/deployment"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// backendProgram builds the servers' program.
func backendProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backend")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, "keyladder/backend").CombinedOutput(); err != nil {
		t.Fatalf("build the backend: %v\n%s", err, output)
	}
	return path
}

var listeningTLS = regexp.MustCompile(`msg=listening for="the API over TLS" address=(\S+)`)

// backend starts `backend resource` on the site's folder, and returns its address over TLS and
// how it is killed.
func (s *site) backend(t *testing.T, program string) (address string, kill func()) {
	t.Helper()
	args := []string{"resource", "--data", s.dir}
	for _, service := range []deployment.ServiceName{deployment.API, deployment.PlainAPI, deployment.TerminatedAPI, deployment.InsideAPI, deployment.Manage(deployment.Resource)} {
		args = append(args, "--listen", string(service)+"=127.0.0.1:0")
	}
	command := exec.Command(program, args...)
	log := testenv.Must[io.ReadCloser](t)(command.StderrPipe())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = command.Process.Kill() // SIGKILL: nothing of it runs any more
		_ = command.Wait()
	})
	t.Cleanup(kill)
	var said []byte
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if match := listeningTLS.FindSubmatch(lines.Bytes()); match != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }() // its access log
			return string(match[1]), kill
		}
		said = append(append(said, lines.Bytes()...), '\n')
	}
	t.Fatalf("the server did not start:\n%s", said)
	return "", nil
}

// posted is a transfer that was sent.
type posted struct {
	reference string
	url       string
	header    http.Header
	body      []byte
	booked    bool // the server has said so
}

// payer is a client whose clock is fast, and which makes one transfer after the other.
type payer struct {
	who   sender
	phone *phone
	ahead time.Duration
}

// dress makes a transfer, for the client's time.
func (p payer) dress(reference string) *posted {
	p.who.body = order("1", reference)
	phone := *p.phone
	phone.now = func() time.Time { return time.Now().Add(p.ahead) }
	r := httptest.NewRequest(http.MethodPost, "/"+p.who.stage.Slug+"/v1/transfers", nil)
	identify(r, p.who.app)
	if phone.key != "" {
		session.SetKey(r.Header, phone.key)
	} else {
		r.Header.Del("Authorization")
	}
	p.who.sign(r, &phone)
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body) // from memory
	return &posted{reference: reference, url: r.URL.Path, header: r.Header, body: body.Bytes()}
}

// send sends the bytes, and returns the status; 0: there was no answer.
func (s *site) send(transport *http.Transport, address string, p *posted) int {
	r, err := http.NewRequest(http.MethodPost, "https://"+address+p.url, bytes.NewReader(p.body))
	if err != nil {
		panic(err)
	}
	r.Header = p.header.Clone()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

func (s *site) transport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots, Certificates: []tls.Certificate{s.clients[mobile]}}}
}

// TestKilledUnderLoad kills servers at random moments, 50 times, while clients whose clocks are
// fast transfer money, and sends the bytes of each transfer once more to the server that comes
// next. Whatever was acknowledged is booked, and nothing is booked twice. No two servers are on
// the same data: how far clocks may be ahead leaves room for ten lives of each.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	servers, lives := 5, 10
	if testing.Short() {
		servers, lives = 1, 3
	}
	program := backendProgram(t)
	for i := range servers {
		t.Run(fmt.Sprint("server ", i+1), func(t *testing.T) {
			t.Parallel()
			killedUnderLoad(t, program, lives, rand.New(rand.NewPCG(uint64(i), 50)))
		})
	}
}

func killedUnderLoad(t *testing.T, program string, lives int, random *rand.Rand) {
	s := newSite(t, deployment.Addresses{})
	settings := deployment.DefaultSettings
	settings.AddressPerSecond, settings.AddressBurst = 1e6, 1e6
	if err := s.folder(t, deployment.Resource).WriteSettings(settings); err != nil {
		t.Fatal(err)
	}
	server := newServer(t, s, nil)
	var payers []payer
	for _, client := range []struct{ user, stage string }{{"alice", "hidden-secrets"}, {"bob", "hidden-secrets"}, {"alice", "user-session"}} {
		stage, _ := catalog.All().Lookup(client.stage)
		who := sender{site: s, app: mobile, user: client.user, stage: stage}
		payers = append(payers, payer{who: who, phone: s.phone(server, who)})
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	var all, before []*posted
	for life := range lives + 1 {
		address, kill := s.backend(t, program)
		again := s.transport()
		for _, p := range before {
			if s.send(again, address, p) == http.StatusCreated {
				if p.booked {
					t.Errorf("life %d: %s was booked, and its bytes were booked once more", life+1, p.reference)
				}
				p.booked = true
			}
		}
		again.CloseIdleConnections()
		if life == lives { // the last one is for the bytes of the one before
			kill()
			break
		}
		before = s.load(address, payers, life, time.Duration(random.IntN(150))*time.Millisecond, kill)
		if before == nil {
			t.Fatalf("life %d: nothing was booked", life+1)
		}
		all = append(all, before...)
	}
	s.compare(t, all)
}

// load has all clients pay until the server is killed: some time after the first of them was
// told that its transfer is booked. It returns what was sent; nil: nothing was booked.
func (s *site) load(address string, payers []payer, life int, after time.Duration, kill func()) (sent []*posted) {
	first, stop := make(chan struct{}), make(chan struct{})
	tell := sync.OnceFunc(func() { close(first) })
	var mu sync.Mutex
	var clients sync.WaitGroup
	for i, p := range payers {
		// What the lives before this one may have served is refused now: clocks go on by more
		// than the server's mark is ahead of them.
		p.ahead = time.Duration(8+5*life) * time.Second
		clients.Go(func() {
			transport := s.transport()
			defer transport.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				payment := p.dress(fmt.Sprintf("life %d, client %d, %d", life, i, n))
				status := s.send(transport, address, payment)
				payment.booked = status == http.StatusCreated
				mu.Lock()
				sent = append(sent, payment)
				mu.Unlock()
				if payment.booked {
					tell()
				} else {
					time.Sleep(10 * time.Millisecond) // it is refused for now, or it is over
				}
			}
		})
	}
	booked := true
	select {
	case <-first:
		time.Sleep(after) // the random moment
	case <-time.After(time.Minute):
		booked = false
	}
	kill()
	close(stop)
	clients.Wait()
	if !booked {
		return nil
	}
	return sent
}

// compare compares what the clients were told with what the ledger has.
func (s *site) compare(t *testing.T, all []*posted) {
	t.Helper()
	db, err := store.Open(filepath.Join(s.folder(t, deployment.Resource).Dir, "resource.db"), ledger.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(db)
	var booked []ledger.Transfer
	var accounts []ledger.Account
	if err := cmp.Or(db.Find(&booked).Error, db.Find(&accounts).Error); err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, transfer := range booked {
		times[transfer.Reference]++
	}
	acknowledged, unanswered := 0, 0
	for _, p := range all {
		switch count := times[p.reference]; {
		case p.booked && count != 1:
			t.Errorf("%s was acknowledged, and is booked %d times", p.reference, count)
		case count > 1:
			t.Errorf("%s is booked %d times", p.reference, count)
		case p.booked:
			acknowledged++
		case count == 1:
			unanswered++
		}
	}
	var sum int64
	for _, account := range accounts {
		sum += account.Balance
	}
	if begun := int64(5_000_000_00 + 12_500_00 + 1_840_50 + 2_000_000_00 + 2_150_00 + 100_000_00); sum != begun {
		t.Errorf("all accounts together have %d, not %d", sum, begun)
	}
	t.Logf("%d transfers sent, %d acknowledged, %d booked whose answer was lost", len(all), acknowledged, unanswered)
}
