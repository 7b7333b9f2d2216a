package traffic

import "net/http"

// Asked records that a server asks another one, self, for a call of a stage, and returns what records
// the answer. Whom it reached is for the other server's lane to tell; here it goes to the network. A
// nil log records nothing.
func (l *Log) Asked(self, stage string, r *http.Request, body []byte) (answered func(*http.Response, []byte)) {
	const other = "network"
	of := Message{Lane: Server, Stage: stage, Exchange: ExchangeOf(r)}
	sent := of
	sent.Kind, sent.From, sent.To, sent.HTTP, sent.Body, sent.Size = Request, self, other, RequestHead(r), body, len(body)
	l.Add(sent)
	return func(response *http.Response, body []byte) {
		got := of
		got.Kind, got.From, got.To, got.HTTP = Response, other, self, AnswerHead(response.Proto, response.StatusCode, response.Header)
		got.Body, got.Size = body, len(body)
		l.Add(got)
	}
}
