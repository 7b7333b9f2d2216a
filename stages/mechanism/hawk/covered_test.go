package hawk_test

import (
	"errors"
	"net/http"
	"testing"

	"keyladder/stages/mechanism/hawk"
)

func TestCovered(t *testing.T) {
	t.Parallel()
	names := []string{"Authorization", "Device-Id"}
	for _, test := range []struct {
		name   string
		header http.Header
		want   string
		err    error
	}{
		// printf 'authorization: Session x\ndevice-id: a phone\n' | openssl dgst -sha256 -binary | basenc --base64url
		{"both", http.Header{"Authorization": {"Session x"}, "Device-Id": {"a phone"}, "Accept": {"y"}}, "JBKnogD94k-NdwRJYpapXxXOW7f-IX1P9Kdn3FCaVds", nil},
		{"one", http.Header{"Device-Id": {"a phone"}}, "EJlPqkdmyu8v_vdgWjSTmhjhbgXq_XRo6EHj51pTzUM", nil},
		{"empty", http.Header{"Authorization": {""}, "Device-Id": {"a phone"}}, "L9Z_QWhQnFRr9lGOesjffJYSEj_FrfTWEHYXzc-CKT8", nil},
		// printf '' | openssl dgst -sha256 -binary | basenc --base64url
		{"none", http.Header{}, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", nil},
		{"twice", http.Header{"Authorization": {"a", "a"}}, "", hawk.ErrTwice},
		{"a line that looks like two", http.Header{"Authorization": {"Session x\ndevice-id: a phone"}}, "", hawk.ErrRequest},
	} {
		if got, err := hawk.Covered(test.header, names...); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: got %q, %v; want %q, %v", test.name, got, err, test.want, test.err)
		}
	}
}
