// Package level has the levels at which an app can be looked at, a file for each: what a session
// carries, what has to be in evidence, and how evidence is appraised.
//
// A fault of an app is a [Verdict], and no error: whoever sends it gets a token like all
// others, that is good nowhere. An error is for what is no evidence at all ([ErrMalformed]), or for
// what hindered us.
package level

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

// Level is a level.
type Level struct {
	Name       catalog.Level
	Challenged bool                // sessions carry a nonce and ranges
	Device     bool                // sessions carry a nonce, and the device's secure hardware says what the app is
	Reports    []manage.ClaimName  // what evidence says something about
	complete   func(incoming) bool // it has what has to be in it, and nothing else
	appraise   func(Verdict, attestation.Evidence, Case) error
}

// levels are all, the weakest first.
var levels = []Level{packageHash, packageChallenge, deviceEvidence}

// Of is the level of a name.
func Of(name catalog.Level) (Level, bool) {
	i := slices.IndexFunc(levels, func(l Level) bool { return l.Name == name })
	if i < 0 {
		return Level{}, false
	}
	return levels[i], true
}

// Offered says whether a stage has an attestation service.
func Offered(p catalog.Policies) bool {
	return p.Attestation.Level != catalog.NotAttested && p.Attestation.Level != ""
}

// ErrUnknown means that a stage wants a level that there is not.
var ErrUnknown = errors.New("no such level of attestation")

// Check refuses stages whose level is unknown.
func Check(stages catalog.Set) error {
	var faults []error
	for _, stage := range stages.Built() {
		if _, ok := Of(stage.Attestation.Level); Offered(stage.Policies) && !ok {
			faults = append(faults, fmt.Errorf("stage %s: %w: %q", stage.Slug, ErrUnknown, stage.Attestation.Level))
		}
	}
	return errors.Join(faults...)
}

// ErrMalformed means that what was sent is no evidence of that level; the text says why.
var ErrMalformed = errors.New("that is no evidence")

// incoming is [attestation.Evidence] as it is sent, in which it shows what is not there.
type incoming struct {
	Measurement *string               `json:"measurement"`
	Answer      []byte                `json:"answer"`
	Findings    *attestation.Findings `json:"findings"`
	ByDevice    string                `json:"evidence"`
}

var measurements = regexp.MustCompile(`^[0-9a-f]{64}$`)

// answerBytes is the length of an answer.
const answerBytes = 32

// Read reads evidence.
func (l Level) Read(body []byte) (attestation.Evidence, error) {
	var e incoming
	if err := Decode(body, &e); err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case !l.Device && e.Measurement == nil, e.Measurement != nil && !measurements.MatchString(*e.Measurement):
		return attestation.Evidence{}, fmt.Errorf("%w: measurement has to be a SHA-256 as 64 hexadecimal digits, in small letters", ErrMalformed)
	case e.Answer != nil && len(e.Answer) != answerBytes:
		return attestation.Evidence{}, fmt.Errorf("%w: answer has %d bytes, and not %d", ErrMalformed, len(e.Answer), answerBytes)
	case !l.complete(e):
		return attestation.Evidence{}, fmt.Errorf("%w: %s wants %s", ErrMalformed, l.Name, l.wants())
	}
	read := attestation.Evidence{Answer: e.Answer, Findings: e.Findings, ByDevice: e.ByDevice}
	if e.Measurement != nil {
		read.Measurement = attestation.Measurement(*e.Measurement)
	}
	return read, nil
}

func (l Level) wants() string {
	switch {
	case l.Challenged:
		return "measurement, answer and findings"
	case l.Device:
		return "evidence, a JWT, and findings"
	}
	return "measurement, and nothing else"
}

// Decode reads one JSON value of a request, without unknown members and with nothing after it.
func Decode(body []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// Package is a package that was published, and can be read.
type Package interface {
	io.ReaderAt
	io.Closer
}

// Case is what evidence is compared with.
type Case struct {
	Challenge attestation.Challenge
	Size      int64                   // of the package that the challenge is about, in bytes
	Open      func() (Package, error) // opens that package
	Expected  string                  // the measurement that was expected, for people

	// Of the package with the measurement that was reported, and the release that was claimed.
	Published       bool // there is one
	Withdrawn       bool
	SignerWithdrawn bool

	Banned bool // the device is

	Said Said // by the device, where it is asked
}

// Verdict is what was found out about an app, by claim.
type Verdict map[manage.ClaimName][]manage.Finding

func (v Verdict) add(claim manage.ClaimName, what, reported, expected string) {
	v[claim] = append(v[claim], manage.Finding{What: what, Reported: reported, Expected: expected})
}

// Appraise finds out all that evidence says about an app. It does the same work whatever that is.
//
//keyladder:code attestation-appraise
func (l Level) Appraise(e attestation.Evidence, c Case) (Verdict, error) {
	v := Verdict{}
	if !c.Published {
		v.add(manage.Executables, "measurement of the package", string(e.Measurement), c.Expected)
	}
	if c.Withdrawn {
		v.add(manage.Executables, "release", "one that is withdrawn", c.Expected)
	}
	if c.SignerWithdrawn {
		v.add(manage.Executables, "signer of the release", "one that is withdrawn", "a signer that is accepted")
	}
	if c.Banned {
		v.add(manage.Instance, "device", "one that is banned", "a device that is not")
	}
	if l.appraise != nil {
		if err := l.appraise(v, e, c); err != nil {
			return nil, fmt.Errorf("appraise evidence: %w", err)
		}
	}
	return v, nil
}
