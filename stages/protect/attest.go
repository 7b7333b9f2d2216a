package protect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
)

var (
	// ErrNotAttested means that no attestation service looks at the app at the stage.
	ErrNotAttested = errors.New("no attestation service looks at apps at this stage")
	// ErrService means that the answer of an attestation service can't be used.
	ErrService = errors.New("the attestation service's answer can't be used")
)

// Attester asks the stage's attestation service for client integrity tokens. It may be used by
// several goroutines.
type Attester struct {
	// Size is that of the package, in bytes, by which those of one release are told apart. It is set
	// before the first use; 0: it is not said.
	Size int64

	opening  attestation.Opening
	sessions *url.URL // where they are opened
	agent    string
}

// Attester is for the client of the identity, in a release, on a device as it names the
// installation; empty: it names none. Its error is [ErrNotAttested], or says that nobody knows
// where the service is.
func (c *Caller) Attester(release int, device string) (*Attester, error) {
	if c.policy.AppProof != catalog.IntegrityToken {
		return nil, ErrNotAttested
	}
	base, err := c.server("attestation service", c.api.Attestation)
	if err != nil {
		return nil, err
	}
	sessions, err := url.Parse(base + attestation.SessionsPath)
	return &Attester{
		opening:  attestation.Opening{ClientID: c.identity.ClientID, Release: release, Device: device},
		sessions: sessions, agent: c.identity.UserAgent,
	}, err
}

// URL is where sessions are opened: the address of each begins with it.
func (a *Attester) URL() string { return a.sessions.String() }

// Evidence is what answers a challenge. The caller decides what it is.
type Evidence func(attestation.Challenge) (attestation.Evidence, error)

// Measured is an app's own package.
type Measured struct {
	Package     io.ReaderAt
	Size        int64 // bytes
	Measurement attestation.Measurement
}

// Measure reads a package once, for all attestations to come.
func Measure(pkg io.ReaderAt, size int64) (Measured, error) {
	measurement, err := attestation.Measure(io.NewSectionReader(pkg, 0, size))
	return Measured{pkg, size, measurement}, err
}

// Evidence is that of an honest app: its measurement and, where it is challenged, the digest over
// what it was asked for and over what it has found out about its surroundings, which goes along.
//
//keyladder:code app-evidence
func (m Measured) Evidence(found attestation.Findings) Evidence {
	return func(c attestation.Challenge) (attestation.Evidence, error) {
		answer := attestation.Evidence{Measurement: m.Measurement}
		if len(c.Nonce) == 0 {
			return answer, nil
		}
		var err error
		answer.Findings = &found
		answer.Answer, err = c.Answer(m.Package, m.Size, found)
		return answer, err
	}
}

// DeviceEvidence is that of an app whose device is asked, and not the app: what the device's secure hardware
// says, which is signed together with what the app has found out about its surroundings. Ask asks the
// hardware, for a verifier's nonce and what evidence is bound to.
//
//keyladder:code app-device-evidence
func DeviceEvidence(ask func(nonce, bound []byte) (string, error), found attestation.Findings) Evidence {
	return func(c attestation.Challenge) (attestation.Evidence, error) {
		text, err := ask(c.Nonce, evidence.Bound(found))
		return attestation.Evidence{ByDevice: text, Findings: &found}, err
	}
}

// Attested is what a session has brought. Whether the token is good it does not say.
type Attested struct {
	Token     string // a client integrity token
	Client    string // a client attestation, for the server that issues tokens; empty: the app has no key
	ExpiresAt time.Time
	RenewAt   time.Time             // a little earlier
	Reference string                // by which an admin finds what was found out
	Reported  *attestation.Findings // what was reported for it; nil: nothing
}

// Show has an identity show what was given.
func (a Attested) Show(as *Identity) { as.Integrity, as.Attestation = a.Token, a.Client }

// String is for logs, and says nothing that is secret.
func (a Attested) String() string { return "the attestation " + a.Reference }

// GoString does the same.
func (a Attested) GoString() string { return a.String() }

// Attest goes through a session: it opens one, and answers it. The client decides how the service
// is reached, and whether it is trusted. Its error is a [*ServiceError] where the service refuses.
//
//keyladder:code app-attest
func (a *Attester) Attest(ctx context.Context, client *http.Client, evidence Evidence) (Attested, error) {
	session, err := a.Open(ctx, client)
	if err != nil {
		return Attested{}, err
	}
	answer, err := evidence(session.Challenge)
	if err != nil {
		return Attested{}, fmt.Errorf("answer the attestation service: %w", err)
	}
	return session.Answer(ctx, answer)
}

// AttestationSession is a session that waits for evidence.
type AttestationSession struct {
	attestation.Session
	Location string // its URL

	attester *Attester
	client   *http.Client
}

// Open opens a session.
func (a *Attester) Open(ctx context.Context, client *http.Client) (*AttestationSession, error) {
	s := &AttestationSession{attester: a, client: client}
	opening := a.opening
	opening.Size = a.Size
	header, err := a.post(ctx, client, a.sessions.String(), opening, http.StatusCreated, &s.Session)
	if err != nil {
		return nil, err
	}
	location, err := a.sessions.Parse(header.Get("Location"))
	if err != nil || !strings.HasPrefix(location.String(), a.sessions.String()+"/") {
		return nil, fmt.Errorf("%w: the session is at %.200q, which is none of its own addresses", ErrService, header.Get("Location"))
	}
	if s.Location = location.String(); s.State != attestation.Waiting {
		return nil, fmt.Errorf("%w: a new session is %.20q", ErrService, s.State)
	}
	return s, nil
}

// Answer answers it, which can be done once.
func (s *AttestationSession) Answer(ctx context.Context, evidence attestation.Evidence) (Attested, error) {
	var answered attestation.Session
	asked := time.Now() // so that the token is not taken for good for longer than it is, however slow the answer comes
	if _, err := s.attester.post(ctx, s.client, s.Location, evidence, http.StatusOK, &answered); err != nil {
		return Attested{}, err
	}
	result := answered.Result
	switch {
	case answered.State != attestation.Complete || result == nil || result.Token == "":
		return Attested{}, fmt.Errorf("%w: a session that was answered is %.20q, and brings no token", ErrService, answered.State)
	case result.ExpiresIn <= 0 || result.ExpiresIn > math.MaxInt32:
		return Attested{}, fmt.Errorf("%w: it does not say how long the token is good", ErrService)
	}
	life := time.Duration(result.ExpiresIn) * time.Second
	return Attested{
		Token: result.Token, Client: result.ClientAttestation, Reference: result.Reference, Reported: evidence.Findings,
		ExpiresAt: asked.Add(life), RenewAt: asked.Add(life - min(life/5, mostAhead)),
	}, nil
}

const maxServiceAnswer = 1 << 20 // bytes

// post sends JSON and reads JSON, which has to come with that status.
func (a *Attester) post(ctx context.Context, client *http.Client, target string, content any, status int, into any) (http.Header, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", JSON)
	response, err := (&tokenRequests{agent: a.agent}).over(client).Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the attestation service: %w", err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(response.Body, maxServiceAnswer)); err != nil {
		return nil, fmt.Errorf("read the attestation service's answer: %w", err)
	}
	if response.StatusCode != status {
		return nil, serviceError(response, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrService, err)
	}
	return response.Header, nil
}

// ServiceError is why an attestation service has refused a request (RFC 9457). That evidence is
// bad is none: it brings a token like all others.
type ServiceError struct {
	Status int    // of HTTP
	Kind   string // attestation-session; empty: it does not say
	Title  string
	Detail string
}

// Error says what the service said.
func (e *ServiceError) Error() string {
	if e.Title == "" {
		return fmt.Sprintf("the attestation service answers with the status %d, and does not say why", e.Status)
	}
	return strings.TrimSpace(fmt.Sprintf("the attestation service answers %d: %s. %s", e.Status, e.Title, e.Detail))
}

func serviceError(response *http.Response, body []byte) error {
	e := &ServiceError{Status: response.StatusCode}
	var said struct{ Type, Title, Detail string }
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media == "application/problem+json" && json.Unmarshal(body, &said) == nil {
		e.Kind, e.Title, e.Detail = strings.TrimPrefix(said.Type, "urn:keyladder:problem:"), said.Title, said.Detail
	}
	return e
}
