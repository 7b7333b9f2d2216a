package session_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyladder/stages/mechanism/session"
)

func header(fields ...string) http.Header {
	h := http.Header{}
	for _, field := range fields {
		h.Add("Authorization", field)
	}
	return h
}

func basic(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }

func TestBasicFrom(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, field    string
		user, password string
		err            error
	}{
		// RFC 7617, sections 2 and 2.1.
		{"the RFC's example", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame", nil},
		{"the RFC's example in UTF-8", "Basic dGVzdDoxMjPCow==", "test", "123£", nil},

		{"scheme in another case", "bASIC QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame", nil},
		{"two spaces", "Basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame", nil},
		{"colons in the password", basic("alice:a:b:"), "alice", "a:b:", nil},
		{"no name", basic(":secret"), "", "secret", nil},
		{"no password", basic("alice:"), "alice", "", nil},
		{"neither", basic(":"), "", "", nil},
		{"spaces are kept", basic(" alice : secret "), " alice ", " secret ", nil},
		{"beyond the basic plane", basic("alice:🗝"), "alice", "🗝", nil},
		{"as long as may be", basic("alice:" + strings.Repeat("x", session.MaxLength-6)), "alice", strings.Repeat("x", session.MaxLength-6), nil},

		{"nothing", "", "", "", session.ErrMissing},
		{"another scheme", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "", "", session.ErrMissing},
		{"a longer scheme", "Basics QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "", "", session.ErrMissing},
		{"scheme alone", "Basic", "", "", session.ErrNoColon},
		{"not base64", "Basic Aladdin:open", "", "", session.ErrEncoding},
		{"no padding", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", "", "", session.ErrEncoding},
		{"spare bits set", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==", "", "", session.ErrEncoding},
		{"line feed", "Basic QWxhZGRp\nbjpvcGVuIHNlc2FtZQ==", "", "", session.ErrEncoding},
		{"the other alphabet", "Basic " + base64.URLEncoding.EncodeToString([]byte("a:>>>???")), "", "", session.ErrEncoding},
		{"something after it", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, x", "", "", session.ErrEncoding},
		{"no colon", basic("alice"), "", "", session.ErrNoColon},
		{"Latin-1", basic("test:123\xa3"), "", "", session.ErrNotUTF8},
		{"half of a pair of surrogates", basic("test:\xed\xa0\x80"), "", "", session.ErrNotUTF8},
		{"too many bytes for a character", basic("test:\xc0\xba"), "", "", session.ErrNotUTF8},
		{"null", basic("alice\x00:secret"), "", "", session.ErrControl},
		{"line feed in the password", basic("alice:sec\nret"), "", "", session.ErrControl},
		{"delete", basic("alice:\x7f"), "", "", session.ErrControl},
		{"control character beyond ASCII", basic("alice:\u0085"), "", "", session.ErrControl},
		{"too long", basic("alice:" + strings.Repeat("x", session.MaxLength-5)), "", "", session.ErrTooLong},
		{"much too long", basic("alice:" + strings.Repeat("x", 1<<20)), "", "", session.ErrTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if test.field != "" {
				h = header(test.field)
			}
			user, password, err := session.BasicFrom(h)
			if user != test.user || password != test.password || !errors.Is(err, test.err) {
				t.Errorf("got %q, %q, %v; want %q, %q, %v", user, password, err, test.user, test.password, test.err)
			}
		})
	}
	if _, _, err := session.BasicFrom(header(basic("a:b"), basic("c:d"))); !errors.Is(err, session.ErrTwice) {
		t.Errorf("two fields: got %v, want %v", err, session.ErrTwice)
	}
}

func TestSetBasic(t *testing.T) {
	t.Parallel()
	h := header("something else")
	if err := session.SetBasic(h, "Aladdin", "open sesame"); err != nil || h.Get("Authorization") != "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" || len(h.Values("Authorization")) != 1 {
		t.Errorf("got %v, %v", h, err)
	}
	for _, test := range []struct {
		name, user, password string
		want                 error
	}{
		{"colon in the name", "a:b", "c", session.ErrColon},
		{"control character", "a", "b\n", session.ErrControl},
		{"not UTF-8", "a", "\xff", session.ErrNotUTF8},
		{"too long", "a", strings.Repeat("x", session.MaxLength), session.ErrTooLong},
	} {
		h := http.Header{}
		if err := session.SetBasic(h, test.user, test.password); !errors.Is(err, test.want) || len(h) != 0 {
			t.Errorf("%s: got %v, %v", test.name, h, err)
		}
	}
}

func TestBasicBothHalves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		user, password := rapid.String().Draw(t, "user"), rapid.String().Draw(t, "password")
		h := http.Header{}
		if session.SetBasic(h, user, password) != nil {
			t.Skip("can't be sent")
		}
		gotUser, gotPassword, err := session.BasicFrom(h)
		if gotUser != user || gotPassword != password || err != nil {
			t.Fatalf("got %q, %q, %v", gotUser, gotPassword, err)
		}
	})
}

func FuzzBasicFrom(f *testing.F) {
	f.Add("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
	f.Add("basic  dGVzdDoxMjPCow==")
	f.Add("Basic QQ==\n")
	f.Add("Session x")
	f.Fuzz(func(t *testing.T, field string) {
		user, password, err := session.BasicFrom(header(field))
		if err != nil {
			if user != "" || password != "" {
				t.Errorf("%q: an error and %q, %q", field, user, password)
			}
			return
		}
		again := http.Header{}
		if err := session.SetBasic(again, user, password); err != nil {
			t.Fatalf("%q has %q, %q, which can't be sent: %v", field, user, password, err)
		}
		_, text, _ := strings.Cut(field, " ")
		if want := "Basic " + strings.TrimLeft(text, " "); again.Get("Authorization") != want {
			t.Errorf("%q is a second spelling of %q", field, again.Get("Authorization"))
		}
	})
}

func TestKeyFrom(t *testing.T) {
	t.Parallel()
	const key = "8hNrvbUlAeiFyGKuKMqoTRWQ2kQfdUXU0p3XZm7BBkQ"
	for _, test := range []struct {
		name   string
		fields []string
		want   session.Key
		err    error
	}{
		{"a key", []string{"Session " + key}, key, nil},
		{"scheme in another case", []string{"session " + key}, key, nil},
		{"two spaces", []string{"Session  " + key}, key, nil},
		{"nothing", nil, "", session.ErrMissing},
		{"another scheme", []string{"Bearer " + key}, "", session.ErrMissing},
		{"the password again", []string{basic("alice:secret")}, "", session.ErrMissing},
		{"scheme alone", []string{"Session"}, "", session.ErrMalformed},
		{"too short", []string{"Session " + key[:42]}, "", session.ErrMalformed},
		{"too long", []string{"Session " + key + "A"}, "", session.ErrMalformed},
		{"padding", []string{"Session " + key + "="}, "", session.ErrMalformed},
		{"spare bits set", []string{"Session " + key[:42] + "R"}, "", session.ErrMalformed},
		{"the other alphabet", []string{"Session +" + key[1:]}, "", session.ErrMalformed},
		{"line feeds instead of characters", []string{"Session " + key[:42] + "\n"}, "", session.ErrMalformed},
		{"two keys", []string{"Session " + key + " " + key}, "", session.ErrMalformed},
		{"two fields", []string{"Session " + key, "Session " + key}, "", session.ErrTwice},
		{"two fields, one of another scheme", []string{"Session " + key, basic("a:b")}, "", session.ErrTwice},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := session.KeyFrom(header(test.fields...))
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v; want %q, %v", string(got), err, string(test.want), test.err)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	seen := map[session.Digest]bool{}
	for range 1000 {
		key := session.NewKey()
		h := header(basic("alice:secret"))
		session.SetKey(h, key)
		got, err := session.KeyFrom(h)
		if got != key || err != nil {
			t.Fatalf("got %q, %v", string(got), err)
		}
		if bits, err := base64.RawURLEncoding.DecodeString(string(key)); err != nil || len(bits) != 32 {
			t.Fatalf("%d bytes, %v", len(bits), err)
		}
		if seen[key.Digest()] {
			t.Fatal("the same key twice")
		}
		seen[key.Digest()] = true
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	const key = session.Key("8hNrvbUlAeiFyGKuKMqoTRWQ2kQfdUXU0p3XZm7BBkQ")
	digest := key.Digest()
	// printf 8hNrvbUlAeiFyGKuKMqoTRWQ2kQfdUXU0p3XZm7BBkQ | sha256sum
	if want := "bd43cc570c2c44a7bf2f63b41984190b172a6d1ba20df447a9764e6c612aefc0"; digest.String() != want {
		t.Errorf("got %s, want %s", digest, want)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	key := session.NewKey()
	text := fmt.Sprintf("%v %+v %s %q %#v %v", key, key, key, key, key, struct{ Key session.Key }{key})
	if strings.Contains(text, string(key)) {
		t.Errorf("the key is in %s", text)
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	lifetimes := session.Lifetimes{Idle: 15 * time.Minute, Absolute: 12 * time.Hour}
	noon := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	ago := func(text string) time.Time {
		age, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return noon.Add(-age)
	}
	for _, test := range []struct {
		name, signedIn, lastUsed string
		lifetimes                session.Lifetimes
		want                     error
	}{
		{"new", "0s", "0s", lifetimes, nil},
		{"just not idle", "1h", "14m59.999s", lifetimes, nil},
		{"idle", "1h", "15m", lifetimes, session.ErrIdle},
		{"just not too old", "11h59m59.999s", "0s", lifetimes, nil},
		{"too old, however busy", "12h", "0s", lifetimes, session.ErrExpired},
		{"both", "13h", "1h", lifetimes, session.ErrExpired},
		{"from the future", "-1s", "0s", lifetimes, session.ErrExpired},
		{"used a moment later, by another clock", "1s", "-1s", lifetimes, nil},
		{"no lifetimes", "0s", "0s", session.Lifetimes{}, session.ErrExpired},
		{"no idle time", "0s", "0s", session.Lifetimes{Absolute: time.Hour}, session.ErrIdle},
	} {
		if err := test.lifetimes.Check(noon, ago(test.signedIn), ago(test.lastUsed)); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	if got, want := session.BasicChallenge("Harbour Bank"), `Basic realm="Harbour Bank", charset="UTF-8"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := session.Challenge("Harbour Bank"), `Session realm="Harbour Bank"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
