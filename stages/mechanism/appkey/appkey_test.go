package appkey_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyladder/stages/mechanism/appkey"
)

func request(target string, authorization ...string) *http.Request {
	req := httptest.NewRequest(http.MethodGet, target, nil)
	for _, value := range authorization {
		req.Header.Add("Authorization", value)
	}
	return req
}

func TestFromRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		target        string
		authorization []string
		key           string
		inURL         bool
		err           error
	}{
		{"in the field", "/", []string{"key harbour-mobile"}, "harbour-mobile", false, nil},
		{"scheme in capitals", "/", []string{"KEY harbour-mobile"}, "harbour-mobile", false, nil},
		{"two spaces", "/", []string{"key  harbour-mobile"}, "harbour-mobile", false, nil},
		{"in the URL", "/?key=harbour-mobile", nil, "harbour-mobile", true, nil},
		{"in the URL, encoded", "/?%6bey=harbour%2Dmobile", nil, "harbour-mobile", true, nil},
		{"in the URL, other scheme in the field", "/?key=a", []string{"Bearer b"}, "a", true, nil},
		{"none", "/", nil, "", false, appkey.ErrMissing},
		{"other parameter", "/?keys=a", nil, "", false, appkey.ErrMissing},
		{"other scheme", "/", []string{"Bearer harbour-mobile"}, "", false, appkey.ErrMissing},
		{"scheme without a space", "/", []string{"keyharbour-mobile"}, "", false, appkey.ErrMissing},
		{"scheme alone", "/", []string{"key"}, "", false, appkey.ErrMalformed},
		{"empty in the URL", "/?key=", nil, "", true, appkey.ErrMalformed},
		{"list", "/", []string{"key a, key b"}, "", false, appkey.ErrMalformed},
		{"quoted", "/", []string{`key "a"`}, "", false, appkey.ErrMalformed},
		{"tab", "/", []string{"key a\tb"}, "", false, appkey.ErrMalformed},
		{"too long", "/", []string{"key " + strings.Repeat("a", appkey.MaxLength+1)}, "", false, appkey.ErrMalformed},
		{"query that can't be parsed", "/?key=a;b", []string{"key a"}, "", true, appkey.ErrMalformed},
		{"bad escape", "/?x=%zz", []string{"key a"}, "", false, appkey.ErrMalformed},
		{"two fields", "/", []string{"key a", "key a"}, "", false, appkey.ErrTwice},
		{"two fields, one of another scheme", "/", []string{"key a", "Bearer b"}, "", false, appkey.ErrTwice},
		{"two parameters", "/?key=a&key=a", nil, "", true, appkey.ErrTwice},
		{"field and URL", "/?key=a", []string{"key a"}, "", true, appkey.ErrTwice},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, inURL, err := appkey.FromRequest(request(test.target, test.authorization...), "Authorization")
			if key != test.key || inURL != test.inURL || !errors.Is(err, test.err) {
				t.Errorf("FromRequest = %q, %v, %v; want %q, %v, %v", key, inURL, err, test.key, test.inURL, test.err)
			}
		})
	}
}

func TestBothHalvesAgree(t *testing.T) {
	t.Parallel()
	const key = "harbour-mobile.x1_~"
	inField := request("/?page=2")
	appkey.Set(inField.Header, "Authorization", key)
	if got, inURL, err := appkey.FromRequest(inField, "Authorization"); got != key || inURL || err != nil {
		t.Errorf("in the field: %q, %v, %v", got, inURL, err)
	}
	inQuery := request("/?page=2")
	appkey.SetQuery(inQuery, key)
	if got, inURL, err := appkey.FromRequest(inQuery, "Authorization"); got != key || !inURL || err != nil {
		t.Errorf("in the URL: %q, %v, %v", got, inURL, err)
	}
	if inQuery.URL.Query().Get("page") != "2" {
		t.Errorf("SetQuery lost a parameter: %q", inQuery.URL.RawQuery)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	tests := []struct{ query, want string }{
		{"", ""},
		{"page=2", "page=2"},
		{"key", "key"},
		{"key=secret", "key=[redacted]"},
		{"a=1&key=secret&b=2", "a=1&key=[redacted]&b=2"},
		{"key=secret&key=other", "key=[redacted]&key=[redacted]"},
		{"%6Bey=secret", "%6Bey=[redacted]"},
		{"KEY=secret", "KEY=[redacted]"},
		{"+key=secret", "+key=[redacted]"},
		{"a=1;key=secret", "a=1;key=[redacted]"},
		{"key=secret=more", "key=[redacted]"},
		{"%zzkey=secret&a=1", "[redacted]&a=1"},
		{"monkey=banana", "monkey=banana"},
	}
	for _, test := range tests {
		if got := appkey.Redact(test.query); got != test.want {
			t.Errorf("Redact(%q) = %q, want %q", test.query, got, test.want)
		}
	}
}

func FuzzFromRequest(f *testing.F) {
	f.Add("key a", "key=b")
	f.Add("Key  a", "")
	f.Add("", "key=%61;x")
	f.Fuzz(func(t *testing.T, authorization, query string) {
		req := request("/")
		req.URL.RawQuery = query
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		key, inURL, err := appkey.FromRequest(req, "Authorization")
		if (err == nil) != appkey.Valid(key) {
			t.Fatalf("FromRequest = %q, %v", key, err)
		}
		if inURL && req.URL.Query().Get(appkey.Parameter) != "" && !appkey.Mentioned(query) {
			t.Fatalf("the key in %q would be logged", query)
		}
		if again := appkey.Redact(appkey.Redact(query)); again != appkey.Redact(query) {
			t.Fatalf("Redact is not stable: %q, %q", appkey.Redact(query), again)
		}
	})
}
