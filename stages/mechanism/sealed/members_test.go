package sealed_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"keyladder/stages/mechanism/sealed"
)

var confidential = []string{"from", "to", "amount"}

func TestPortion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, content string
		clear         string // what is left readable, with S for sealed portions
		opened        string // empty: as it was
	}{
		{name: "nothing confidential", content: `{"base":"EUR","rates":{"USD":"1.1"}}`, clear: `{"base":"EUR","rates":{"USD":"1.1"}}`},
		{
			name: "a transfer", content: `{"from":"HB-1001","currency":"EUR","amount":100.50,"to":"HB-2001"}`,
			clear: `{"currency":"EUR","sealed":"S"}`, opened: `{"currency":"EUR","from":"HB-1001","amount":100.50,"to":"HB-2001"}`,
		},
		{
			name: "a list", content: `[{"id":1,"amount":1},{"id":2,"amount":2},[],null]`,
			clear: `[{"id":1,"sealed":"S"},{"id":2,"sealed":"S"},[],null]`,
		},
		{name: "deep inside", content: `{"a":{"b":[{"to":"x"}]}}`, clear: `{"a":{"b":[{"sealed":"S"}]}}`},
		{name: "with what is in it", content: `{"to":{"id":[1,2]}}`, clear: `{"sealed":"S"}`},
		{name: "a number that floats would round", content: `{"n":12345678901234567890}`, clear: `{"n":12345678901234567890}`},
		{name: "another spelling", content: `{"AMOUNT":1}`, clear: `{"AMOUNT":1}`},
		{name: "no object", content: `"amount"`, clear: `"amount"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := keys(t, secret).Requests
			body, some, err := k.SealMembers([]byte(test.content), confidential)
			if err != nil {
				t.Fatal(err)
			}
			if some != strings.Contains(test.clear, "S\"") {
				t.Errorf("something was sealed: %v", some)
			}
			if clear := portions(string(body)); clear != test.clear {
				t.Errorf("readable is %s, want %s", clear, test.clear)
			}
			want := test.opened
			if want == "" {
				want = test.content
			}
			opened, again, err := k.OpenMembers(body, confidential)
			if string(opened) != want || again != some || err != nil {
				t.Errorf("opened: %s, %v, %v; want %s", opened, again, err, want)
			}
		})
	}
}

// portions puts S in the place of sealed portions.
func portions(body string) string {
	for {
		before, rest, ok := strings.Cut(body, `"eyJ`)
		if !ok {
			return body
		}
		_, after, _ := strings.Cut(rest, `"`)
		body = before + `"S"` + after
	}
}

func TestPortionRefused(t *testing.T) {
	t.Parallel()
	k := keys(t, secret).Requests
	jwe := func(content string) string { return string(seal(t, k, content, "application/json")) }
	good := jwe(`{"amount":1}`)
	for name, test := range map[string]struct {
		body string
		want error
	}{
		"in the clear":                {`{"amount":1}`, sealed.ErrClear},
		"in the clear, deep inside":   {`[{"a":{"amount":1}}]`, sealed.ErrClear},
		"in the clear, too":           {`{"sealed":"` + good + `","amount":1}`, sealed.ErrClear},
		"two portions":                {`{"sealed":"` + good + `","sealed":"` + good + `"}`, sealed.ErrMalformed},
		"a member twice in a portion": {`{"sealed":"` + jwe(`{"amount":1,"amount":2}`) + `"}`, sealed.ErrMalformed},
		"a member twice":              {`{"a":1,"a":2}`, sealed.ErrMalformed},
		"another member in a portion": {`{"sealed":"` + jwe(`{"amount":1,"currency":"EUR"}`) + `"}`, sealed.ErrMember},
		"a portion in a portion":      {`{"sealed":"` + jwe(`{"sealed":"`+good+`"}`) + `"}`, sealed.ErrMember},
		"a portion that is no object": {`{"sealed":"` + jwe(`[1]`) + `"}`, sealed.ErrMalformed},
		"no sealed text":              {`{"sealed":1}`, sealed.ErrMalformed},
		"some text":                   {`{"sealed":"x"}`, sealed.ErrMalformed},
		"for the other direction":     {`{"sealed":"` + string(seal(t, keys(t, secret).Responses, `{"amount":1}`, "")) + `"}`, sealed.ErrOpen},
		"under another secret":        {`{"sealed":"` + string(seal(t, keys(t, "another").Requests, `{"amount":1}`, "")) + `"}`, sealed.ErrOpen},
		"no JSON":                     {`{"a":`, sealed.ErrMalformed},
		"no JSON either":              {`{"a":1}}`, sealed.ErrMalformed},
		"nothing":                     {``, sealed.ErrMalformed},
		"too deep":                    {strings.Repeat("[", 20) + strings.Repeat("]", 20), sealed.ErrMalformed},
	} {
		if opened, some, err := k.OpenMembers([]byte(test.body), confidential); !errors.Is(err, test.want) || opened != nil || some {
			t.Errorf("%s: %s, %v, %v; want %v", name, opened, some, err, test.want)
		}
	}
	for _, content := range []string{`{"amount":1,"sealed":"mine"}`, `{"sealed":1}`, `{"amount":1,"amount":2}`, `{`} {
		if body, _, err := k.SealMembers([]byte(content), confidential); err == nil {
			t.Errorf("%s was sealed as %s", content, body)
		}
	}
}

// What is opened is JSON, and holds no member that has to be sealed and was not.
func FuzzOpenMembers(f *testing.F) {
	k := keys(f, secret).Requests
	f.Add([]byte(`{"currency":"EUR","sealed":"` + string(byHand(f, ours, []byte(`{"amount":1}`))) + `"}`))
	f.Add([]byte(`[{"a":{"sealed":"..."}},{"amount":1}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		opened, some, err := k.OpenMembers(body, confidential)
		switch {
		case err != nil && (opened != nil || some):
			t.Errorf("%q: %v, and %q", body, err, opened)
		case err == nil && !json.Valid(opened):
			t.Errorf("%q opened to %q", body, opened)
		case err == nil && !some:
			if again, _, err := k.OpenMembers(opened, confidential); err != nil || string(again) != string(opened) {
				t.Errorf("%q opened to %q, and that to %q, %v", body, opened, again, err)
			}
		}
	})
}
