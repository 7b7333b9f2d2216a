package phone

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
)

// made is a call that the app made, for the list beside the screen.
type made struct {
	At       time.Time
	Stage    string
	What     string // "GET /tls/v1/accounts"
	Result   string // "200 OK", "refused by the app: pins"
	OK       bool
	Reason   string // of the app's own refusal
	Request  string // head and body
	Response string
	Sent     string // what was inside a sealed request
	Answered string // and inside a sealed response
}

// latest are the latest n calls of apps, newest first. The user agent shows by itself what it loads.
func latest(log *traffic.Log, n int) []made {
	var calls []*made
	open := map[string]*made{}
	for _, m := range log.After(0) {
		if m.Lane != traffic.App || m.From == device.AgentParty || m.To == device.AgentParty {
			continue
		}
		call := open[m.Exchange]
		if call == nil || m.Kind == traffic.Request {
			call = &made{At: m.At, Stage: m.Stage, What: m.Summary, Result: "on its way"}
			calls = append(calls, call)
			if m.Exchange != "" {
				open[m.Exchange] = call
			}
		}
		switch m.Kind {
		case traffic.Request:
			call.Request = m.Head + readable(m.Body)
		case traffic.Response:
			call.Response = m.Head + readable(m.Body)
			call.Result = m.Summary
			status, _ := strconv.Atoi(strings.SplitN(m.Summary, " ", 2)[0])
			call.OK = status >= 200 && status < 300
		case traffic.Note:
			if len(m.Body) > 0 { // only the app can tell what is inside
				if call.Response == "" {
					call.Sent = strings.TrimSpace(readable(m.Body))
				} else {
					call.Answered = strings.TrimSpace(readable(m.Body))
				}
				break
			}
			call.Result = m.Summary
			if call.What == m.Summary { // there was no request
				call.What = "Nothing was sent"
			}
			if m.Verdict != nil {
				call.Reason = m.Verdict.Reason
			}
		}
	}
	list := make([]made, 0, n)
	for i := len(calls) - 1; i >= 0 && len(list) < n; i-- {
		list = append(list, *calls[i])
	}
	return list
}

// readable is a body under its head, JSON indented.
func readable(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", "  ") == nil {
		body = bytes.TrimSpace(indented.Bytes())
	}
	return "\r\n" + string(body)
}
