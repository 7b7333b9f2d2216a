package attacker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// isPayment tells whether a call is the one that moves money.
func isPayment(method, target string) bool {
	path, _, _ := strings.Cut(target, "?")
	return method == http.MethodPost && strings.HasSuffix(path, "/v1/transfers")
}

// withPayee is the body of a payment with another payee. Numbers stay as they were
// written.
func withPayee(body []byte, payee string) ([]byte, error) {
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

// ownPayment is the body of a payment that somebody makes up who knows an account.
func ownPayment(payee string) []byte {
	body, err := json.Marshal(map[string]any{
		"from": anAccount.ID, "to": payee, "amount": pittance, "currency": anAccount.Currency, "reference": "invoice",
	})
	if err != nil {
		panic(err) // strings and a number
	}
	return body
}

// toAccount is a [tampering] that has payments go to the account.
func toAccount(payee string) tampering {
	return func(request *http.Request) (bool, error) {
		if !isPayment(request.Method, request.URL.RequestURI()) {
			return false, nil
		}
		body, err := io.ReadAll(io.LimitReader(request.Body, maxAnswer))
		if err != nil {
			return false, err
		}
		if body, err = withPayee(body, payee); err != nil {
			return false, err
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		request.ContentLength = int64(len(body))
		return true, nil
	}
}
