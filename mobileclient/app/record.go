package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
	"keyladder/stages/protect"
)

// report tells the device about a message, for the class. Calls go on without.
func (a *harbourApp) report(record sdk.Record) {
	record.Body = record.Body[:min(len(record.Body), traffic.MaxBody)]
	_ = a.system.Report(record)
}

func (a *harbourApp) recordRequest(exchange string, req *http.Request, dressed *protect.Dressed) {
	a.report(sdk.Record{
		Kind: traffic.Request, Exchange: exchange, With: a.peer(req), Summary: req.Method + " " + req.URL.RequestURI(),
		Head: requestHead(req), Body: withoutPassword(dressed), Size: len(dressed.Body), Base: string(dressed.Base),
	})
	if dressed.Sealed {
		a.recordInside(exchange, "the body that was sent", dressed.Media, dressed.Content)
	}
}

// peer is who is asked; empty: the API.
func (a *harbourApp) peer(req *http.Request) string {
	asked := req.URL.String()
	switch {
	case a.proof != nil && strings.HasPrefix(asked, a.proof.attester.URL()):
		return attestationService
	case a.oauth != nil && a.caller.Policy().ClientAuth.Attested() && strings.HasPrefix(asked, strings.TrimSuffix(a.oauth.TokenURL(), "token")):
		return mediator // its calls of the API go there, too, where the way leads through it
	case a.oauth != nil && strings.HasPrefix(asked, a.oauth.Issuer()+"/"):
		return authServer
	}
	return ""
}

// The names of servers other than the API in records.
const (
	authServer         = "auth"
	attestationService = "attestsvc"
	mediator           = "mediator"
)

// passwordInForm is the parameter of RFC 6749, section 4.3.2.
var passwordInForm = regexp.MustCompile(`(^|&)(password=)[^&]*`)

// withoutPassword is a body as it is recorded. A password that is a parameter of a form is
// kept nowhere, and so not in a record either.
func withoutPassword(dressed *protect.Dressed) []byte {
	if dressed.Media != protect.FormMedia {
		return dressed.Body
	}
	return passwordInForm.ReplaceAll(dressed.Body, []byte("${1}${2}not-recorded"))
}

func (a *harbourApp) recordResponse(exchange string, resp *http.Response, body []byte) {
	a.report(sdk.Record{
		Kind: traffic.Response, Exchange: exchange, With: a.peer(resp.Request), Summary: resp.Status,
		Head: responseHead(resp), Body: body, Size: len(body),
	})
}

func (a *harbourApp) recordOpened(exchange string, answer protect.Answer) {
	if answer.Sealed {
		a.recordInside(exchange, "the answer", answer.Media, answer.Body)
	}
}

// recordInside notes what is inside a sealed body, which nobody but the two ends can read.
func (a *harbourApp) recordInside(exchange, what, media string, content []byte) {
	a.report(sdk.Record{
		Kind: traffic.Note, Exchange: exchange, Summary: fmt.Sprintf("inside %s: %s, %d bytes", what, media, len(content)),
		Head: "Content-Type: " + media + "\r\n", Body: content, Size: len(content),
	})
}

// requestHead is the request's head as it goes to the server. Behind a proxy the
// transport may write the first line differently.
func requestHead(req *http.Request) string {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", req.Method, req.URL.RequestURI(), req.URL.Host)
	if req.ContentLength > 0 {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", req.ContentLength)
	}
	_ = req.Header.Write(&head) // to memory
	return head.String()
}

func responseHead(resp *http.Response) string {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s\r\n", resp.Proto, resp.Status)
	_ = resp.Header.Write(&head) // to memory
	return head.String()
}

// logCall writes about a call to the app's log. The device keeps that, and whoever has the
// device, or a copy of its logs, can read it. So it says what was called, and nothing that opens
// anything: no query, where a key can be, no header fields and no body.
//
// A build for developers logs everything, to find faults with. One that is shipped like that
// writes keys, sessions and passwords down for all who read logs.
//
//keyladder:code app-log
func (a *harbourApp) logCall(req *http.Request, status string) {
	if a.settings.Log != release.LogEverything {
		fmt.Fprintf(os.Stderr, "%s %s: %s\n", req.Method, req.URL.EscapedPath(), status)
		return
	}
	fmt.Fprintf(os.Stderr, "%s %s: %s\n", req.Method, req.URL, status)
	_ = req.Header.Write(os.Stderr) // a call goes on without its log
}
