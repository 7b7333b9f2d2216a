package level_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"keyladder/attestsvc/level"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

func of(t testing.TB, name catalog.Level) level.Level {
	t.Helper()
	found, ok := level.Of(name)
	if !ok {
		t.Fatalf("there is no level %s", name)
	}
	return found
}

// opened is a package that is only here.
type opened struct{ io.ReaderAt }

func (opened) Close() error { return nil }

// good is evidence that is good, and what it is compared with.
func good(t testing.TB, name catalog.Level, found attestation.Findings) (attestation.Evidence, level.Case) {
	t.Helper()
	pkg := bytes.Repeat([]byte("package "), 1000)
	c := level.Case{Size: int64(len(pkg)), Published: true, Open: func() (level.Package, error) { return opened{bytes.NewReader(pkg)}, nil }}
	e := attestation.Evidence{Measurement: testenv.Must[attestation.Measurement](t)(attestation.Measure(bytes.NewReader(pkg)))}
	if name == catalog.PackageChallenge {
		c.Challenge = testenv.Must[attestation.Challenge](t)(attestation.NewChallenge(c.Size, 8, 64))
		e.Answer = testenv.Must[[]byte](t)(c.Challenge.Answer(bytes.NewReader(pkg), c.Size, found))
		e.Findings = &found
	}
	return e, c
}

// Every way in which evidence can be wrong is found, and in the claim that it belongs to.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	both := []catalog.Level{catalog.PackageHash, catalog.PackageChallenge}
	challenged := both[1:]
	for name, tt := range map[string]struct {
		at    []catalog.Level
		found attestation.Findings
		wrong func(*attestation.Evidence, *level.Case)
		claim manage.ClaimName // empty: nothing is wrong
		what  string           // begins like that
	}{
		"nothing":                 {at: both},
		"a package of nobody":     {at: both, wrong: func(_ *attestation.Evidence, c *level.Case) { c.Published = false }, claim: manage.Executables, what: "measurement"},
		"a release that is gone":  {at: both, wrong: func(_ *attestation.Evidence, c *level.Case) { c.Withdrawn = true }, claim: manage.Executables, what: "release"},
		"a signer who is gone":    {at: both, wrong: func(_ *attestation.Evidence, c *level.Case) { c.SignerWithdrawn = true }, claim: manage.Executables, what: "signer"},
		"a banned device":         {at: both, wrong: func(_ *attestation.Evidence, c *level.Case) { c.Banned = true }, claim: manage.Instance, what: "device"},
		"another answer":          {at: challenged, wrong: func(e *attestation.Evidence, _ *level.Case) { e.Answer[31]++ }, claim: manage.Executables, what: "answer"},
		"another nonce":           {at: challenged, wrong: func(_ *attestation.Evidence, c *level.Case) { c.Challenge.Nonce[0]++ }, claim: manage.Executables, what: "answer"},
		"another package":         {at: challenged, wrong: func(_ *attestation.Evidence, c *level.Case) { c.Open = zeros }, claim: manage.Executables, what: "answer"},
		"hidden findings":         {at: challenged, found: attestation.Findings{Traced: true}, wrong: func(e *attestation.Evidence, _ *level.Case) { e.Findings.Traced = false }, claim: manage.Executables, what: "answer"},
		"a debugger":              {at: challenged, found: attestation.Findings{Traced: true}, claim: manage.Runtime, what: "traced"},
		"code of others":          {at: challenged, found: attestation.Findings{Injected: true}, claim: manage.Runtime, what: "code"},
		"an unlocked device":      {at: challenged, found: attestation.Findings{Unlocked: true}, claim: manage.Configuration, what: "device"},
		"a connection of others":  {at: challenged, found: attestation.Findings{Intercepted: true}, claim: manage.Configuration, what: "connection"},
		"another signer reported": {at: challenged, found: attestation.Findings{OtherSigner: true}, claim: manage.Executables, what: "signed"},
	} {
		for _, at := range tt.at {
			t.Run(string(at)+"/"+name, func(t *testing.T) {
				t.Parallel()
				e, c := good(t, at, tt.found)
				if tt.wrong != nil {
					tt.wrong(&e, &c)
				}
				verdict, err := of(t, at).Appraise(e, c)
				if err != nil {
					t.Fatal(err)
				}
				if tt.claim == "" {
					if len(verdict) > 0 {
						t.Errorf("wrong is %+v", verdict)
					}
					return
				}
				claims := slices.Collect(maps.Keys(verdict))
				if len(claims) != 1 || claims[0] != tt.claim || len(verdict[tt.claim]) != 1 || !strings.HasPrefix(verdict[tt.claim][0].What, tt.what) {
					t.Errorf("wrong is %+v, want %s: %s…", verdict, tt.claim, tt.what)
				}
			})
		}
	}
}

func zeros() (level.Package, error) { return opened{bytes.NewReader(make([]byte, 8000))}, nil }

// All that is wrong is found at once.
func TestVerdictsAreWhole(t *testing.T) {
	t.Parallel()
	e, c := good(t, catalog.PackageChallenge, attestation.Findings{Traced: true, Injected: true, Unlocked: true, OtherSigner: true, Intercepted: true})
	c.Published, c.Withdrawn, c.SignerWithdrawn, c.Banned, e.Answer[0] = false, true, true, true, e.Answer[0]+1
	verdict := testenv.Must[level.Verdict](t)(of(t, catalog.PackageChallenge).Appraise(e, c))
	for claim, count := range map[manage.ClaimName]int{manage.Executables: 5, manage.Runtime: 2, manage.Configuration: 2, manage.Instance: 1} {
		if len(verdict[claim]) != count {
			t.Errorf("%s: %+v, want %d findings", claim, verdict[claim], count)
		}
	}
}

// What hinders us is an error, and not a verdict about the app.
func TestWhatIsOurFault(t *testing.T) {
	t.Parallel()
	e, c := good(t, catalog.PackageChallenge, attestation.Findings{})
	c.Open = func() (level.Package, error) { return nil, io.ErrClosedPipe }
	if _, err := of(t, catalog.PackageChallenge).Appraise(e, c); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a package that can't be opened: %v", err)
	}
	c.Open = func() (level.Package, error) { return opened{bytes.NewReader(make([]byte, 10))}, nil }
	if _, err := of(t, catalog.PackageChallenge).Appraise(e, c); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a package that is cut off: %v", err)
	}
}

const hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

func TestRead(t *testing.T) {
	t.Parallel()
	answer := base64.StdEncoding.EncodeToString(make([]byte, 32))
	whole := `{"measurement":"` + hash + `","answer":"` + answer + `","findings":{"traced":true}}`
	alone := `{"measurement":"` + hash + `"}`
	if e, err := of(t, catalog.PackageHash).Read([]byte(alone)); err != nil || e.Measurement != hash {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := of(t, catalog.PackageChallenge).Read([]byte(whole)); err != nil || e.Measurement != hash || len(e.Answer) != 32 || !e.Findings.Traced {
		t.Errorf("%+v, %v", e, err)
	}
	for name, tt := range map[string]struct {
		at   catalog.Level
		body string
	}{
		"nothing":                     {catalog.PackageHash, ``},
		"null":                        {catalog.PackageHash, `null`},
		"no measurement":              {catalog.PackageHash, `{}`},
		"a short measurement":         {catalog.PackageHash, `{"measurement":"` + hash[1:] + `"}`},
		"in capital letters":          {catalog.PackageHash, strings.ToUpper(alone)},
		"a number":                    {catalog.PackageHash, `{"measurement":1}`},
		"something else":              {catalog.PackageHash, `{"measurement":"` + hash + `","good":true}`},
		"something after it":          {catalog.PackageHash, alone + alone},
		"more than is asked for":      {catalog.PackageHash, whole},
		"an answer":                   {catalog.PackageHash, `{"measurement":"` + hash + `","answer":"` + answer + `"}`},
		"findings":                    {catalog.PackageHash, `{"measurement":"` + hash + `","findings":{}}`},
		"less than is asked for":      {catalog.PackageChallenge, alone},
		"no answer":                   {catalog.PackageChallenge, `{"measurement":"` + hash + `","findings":{}}`},
		"no findings":                 {catalog.PackageChallenge, `{"measurement":"` + hash + `","answer":"` + answer + `"}`},
		"a short answer":              {catalog.PackageChallenge, `{"measurement":"` + hash + `","answer":"AAAA","findings":{}}`},
		"an empty answer":             {catalog.PackageChallenge, `{"measurement":"` + hash + `","answer":"","findings":{}}`},
		"findings that are none":      {catalog.PackageChallenge, strings.Replace(whole, "traced", "hooked", 1)},
		"findings of another type":    {catalog.PackageChallenge, strings.Replace(whole, "true", `"yes"`, 1)},
		"an answer that is no text":   {catalog.PackageChallenge, strings.Replace(whole, `"`+answer+`"`, "[1]", 1)},
		"an answer in another coding": {catalog.PackageChallenge, strings.Replace(whole, answer, strings.Repeat("!", 44), 1)},
	} {
		if e, err := of(t, tt.at).Read([]byte(tt.body)); !errors.Is(err, level.ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

// FuzzRead: what is read is evidence, or malformed, and can be appraised.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"measurement":"` + hash + `"}`))
	f.Add([]byte(`{"measurement":"` + hash + `","answer":"` + strings.Repeat("A", 43) + `=","findings":{"traced":true,"injected":false}}`))
	f.Add([]byte(`{"answer":null,"findings":null,"measurement":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, name := range []catalog.Level{catalog.PackageHash, catalog.PackageChallenge} {
			e, err := of(t, name).Read(body)
			if err != nil {
				if !errors.Is(err, level.ErrMalformed) {
					t.Errorf("%q: %v", body, err)
				}
				continue
			}
			_, c := good(t, name, attestation.Findings{})
			if _, err := of(t, name).Appraise(e, c); err != nil {
				t.Errorf("%q is read, and can't be appraised: %v", body, err)
			}
			again, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := of(t, name).Read(again); err != nil {
				t.Errorf("%q is read as %s, which is not: %v", body, again, err)
			}
		}
	})
}

func TestUnknownLevel(t *testing.T) {
	t.Parallel()
	set := catalog.All()
	if err := level.Check(set); err != nil {
		t.Error(err)
	}
	for i := range set {
		if set[i].Slug == "refresh" {
			set[i].Attestation.Level = "package-guess"
		}
	}
	if err := level.Check(set); !errors.Is(err, level.ErrUnknown) || !strings.Contains(err.Error(), "refresh") {
		t.Errorf("got %v", err)
	}
}
