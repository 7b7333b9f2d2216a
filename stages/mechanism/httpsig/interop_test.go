package httpsig_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/digest"
	"keyladder/stages/mechanism/httpsig"
)

// strangers are npm packages that know nothing of each other.
var strangers = []string{"http-message-signatures", "http-message-sig"}

// task is what testdata/stranger.js is told.
type task struct {
	Library    string         `json:"library"`
	Sign       bool           `json:"sign"`
	Message    message        `json:"message"`
	Label      string         `json:"label"`
	Components []component    `json:"components"`
	Parameters map[string]any `json:"parameters"`
	Key        any            `json:"key"`
	Now        int64          `json:"now"`
}

type message struct {
	Method  string      `json:"method,omitempty"`
	Target  string      `json:"target,omitempty"`
	Status  int         `json:"status,omitempty"`
	Header  http.Header `json:"header"`
	Request *message    `json:"request,omitempty"`
}

type component struct {
	Identifier string         `json:"identifier"`
	Name       string         `json:"name"`
	Parameters map[string]any `json:"parameters"`
}

// told is what it says.
type told struct {
	Input, Signature string // that it made
	Good             bool
	Refused          string
}

func componentsOf(all []httpsig.Component) (some []component) {
	for _, c := range all {
		parameters := map[string]any{}
		if c.OfRequest {
			parameters["req"] = true
		}
		if c.Key != "" {
			parameters["key"] = c.Key
		}
		some = append(some, component{Identifier: c.String(), Name: c.Name, Parameters: parameters})
	}
	return some
}

func messageOf(m httpsig.Message) message {
	made := message{Method: m.Method, Target: m.Target, Status: m.Status, Header: m.Header}
	if m.Request != nil {
		request := messageOf(*m.Request)
		made.Request = &request
	}
	return made
}

func (one task) run(t *testing.T, modules string) (result told) {
	t.Helper()
	input, err := json.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "stranger.js"))
	command.Env = append(os.Environ(), "NODE_PATH="+modules)
	command.Stdin, command.Stderr = bytes.NewReader(input), os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(output, &result); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return result
}

// TestStrangers is others' opinion of our signatures, and ours of theirs. It needs Node.js and the npm
// registry; without them it is skipped, or fails, if KEYLADDER_CI is 1.
func TestStrangers(t *testing.T) {
	t.Parallel()
	modules := testenv.NPM(t)
	key := testKey(t)
	public := publicOf(t, key)
	private := testenv.PrivateJWK(t, key)
	plain := func() httpsig.Message {
		return httpsig.Message{Method: "GET", Target: target + "?b=1&a=%20%2F", Header: http.Header{"Client-Integrity-Token": {"integrity"}}}
	}
	for _, library := range strangers {
		for _, request := range []struct {
			name    string
			message func() httpsig.Message
			body    string
		}{{"POST", transfer, order}, {"GET", plain, ""}} {
			t.Run(library+"/"+request.name, func(t *testing.T) {
				t.Parallel()
				m := request.message()
				sent := signed(t, m, request.body)
				read, err := httpsig.Read(m.Header, httpsig.Label)
				if err != nil {
					t.Fatal(err)
				}
				parameters := map[string]any{
					"created": noon.Unix(), "expires": noon.Add(httpsig.Lifetime).Unix(), "nonce": read.Parameters.Nonce, "keyid": keyID, "tag": httpsig.Tag,
				}
				one := task{
					Library: library, Message: messageOf(m), Label: httpsig.Label, Components: componentsOf(read.Components),
					Parameters: parameters, Key: public, Now: noon.Unix() + 1,
				}

				if got := one.run(t, modules); !got.Good || got.Refused != "" {
					t.Errorf("they say of our request: %+v", got)
				}
				changed := one
				changed.Message.Target += "1"
				if got := changed.run(t, modules); got.Good {
					t.Errorf("they say of a changed request: %+v", got)
				}
				late := one
				late.Now = noon.Add(time.Minute).Unix()
				if got := late.run(t, modules); got.Good {
					t.Errorf("they say of an old request: %+v", got)
				}

				theirs := request.message()
				if request.body != "" {
					digest.Set(theirs.Header, []byte(request.body))
				}
				one.Sign, one.Message, one.Key = true, messageOf(theirs), private
				made := one.run(t, modules)
				theirs.Header.Set("Signature-Input", made.Input)
				theirs.Header.Set("Signature", made.Signature)
				_, base, err := httpsig.VerifyRequest(theirs, []byte(request.body), public, noon.Add(time.Second))
				if err != nil || lines(base) != lines(sent.Base) {
					t.Errorf("we say of their request %+v: %v; the base is\n%s\nand ours was\n%s", made, err, base, sent.Base)
				}
				theirs.Header.Set("Client-Integrity-Token", "another")
				if _, _, err := httpsig.VerifyRequest(theirs, []byte(request.body), public, noon); !errors.Is(err, httpsig.ErrSignature) {
					t.Errorf("we say of their request, changed: %v", err)
				}
			})
		}
		t.Run(library+"/response", func(t *testing.T) {
			t.Parallel()
			m := transfer()
			sent := signed(t, m, order)
			received, _, err := httpsig.VerifyRequest(m, []byte(order), public, noon)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Content-Type": {"application/json"}}
			if err := received.SignResponse(201, header, []byte("{}"), responder(t, key), noon); err != nil {
				t.Fatal(err)
			}
			read, err := httpsig.Read(header, httpsig.LabelResponse)
			if err != nil {
				t.Fatal(err)
			}
			response := httpsig.Message{Status: 201, Header: header, Request: &m}
			one := task{
				Library: library, Message: messageOf(response), Label: httpsig.LabelResponse, Components: componentsOf(read.Components),
				Parameters: map[string]any{"created": noon.Unix(), "keyid": keyID, "tag": httpsig.Tag}, Key: public, Now: noon.Unix(),
			}
			if got := one.run(t, modules); !got.Good || got.Refused != "" {
				t.Errorf("they say of our response: %+v", got)
			}
			another := transfer() // the same request, signed once more
			signed(t, another, order)
			changed := one
			changed.Message = messageOf(httpsig.Message{Status: 201, Header: header, Request: &another})
			if got := changed.run(t, modules); got.Good {
				t.Errorf("they say of a response to another request: %+v", got)
			}

			theirs := http.Header{"Content-Type": {"application/json"}}
			digest.Set(theirs, []byte("{}"))
			one.Sign, one.Message, one.Key = true, messageOf(httpsig.Message{Status: 201, Header: theirs, Request: &m}), private
			made := one.run(t, modules)
			theirs.Set("Signature-Input", made.Input)
			theirs.Set("Signature", made.Signature)
			if _, err := sent.CheckResponse(201, theirs, []byte("{}"), public); err != nil {
				t.Errorf("we say of their response %+v: %v", made, err)
			}
			if _, err := sent.CheckResponse(200, theirs, []byte("{}"), public); !errors.Is(err, httpsig.ErrSignature) {
				t.Errorf("we say of their response with another status: %v", err)
			}
		})
	}
}

// lines are those of a base about the message; the last one has the nonce.
func lines(base []byte) string { return string(base[:bytes.LastIndexByte(base, '\n')]) }
