package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// everyClaim reads the claims: each that the profile requires, once and with its type.
func everyClaim(_ Verifier, t *reading) error {
	claims, err := Members(t.body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClaims, err)
	}
	var faults []error
	text := func(name string) string {
		value, err := claims.Text(name)
		faults = append(faults, err)
		return value
	}
	instant := func(name string) time.Time {
		value, err := claims.Instant(name)
		faults = append(faults, err)
		return value
	}
	c := Claims{
		Issuer: text("iss"), Subject: text("sub"), ClientID: text("client_id"), ID: text("jti"), Scope: text("scope"),
		Issued: instant("iat"), Expires: instant("exp"),
	}
	c.Audience, err = claims.Audience()
	faults = append(faults, err)
	if _, there := claims["nbf"]; there {
		t.notBefore = instant("nbf")
	}
	if _, there := claims["device"]; there {
		c.Device = text("device")
	}
	if _, there := claims["cnf"]; there {
		c.Thumbprint, err = claims.confirmation()
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrClaims, err)
	}
	t.claims = c
	return nil
}

// Object is a JSON object whose members were not looked into yet. Errors of its methods say which
// member is wrong, and how.
type Object map[string]json.RawMessage

// Members reads a JSON object. One that has a member twice is refused: two readers could take
// different ones (RFC 7519, section 4).
func Members(data []byte) (Object, error) {
	rest := bytes.TrimLeft(data, space)
	if !json.Valid(data) || len(rest) == 0 || rest[0] != '{' {
		return nil, errors.New("it is no JSON object")
	}
	// It is one, so that what follows need not look for mistakes.
	found := Object{}
	for rest = bytes.TrimLeft(rest[1:], space); rest[0] != '}'; {
		end := valueEnd(rest)
		name, ok := plainText(rest[:end])
		if !ok {
			if err := json.Unmarshal(rest[:end], &name); err != nil {
				return nil, err
			}
		}
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("it has %q twice", name)
		}
		rest = bytes.TrimLeft(rest[end:], space+":")
		end = valueEnd(rest)
		found[name] = json.RawMessage(bytes.TrimRight(rest[:end], space))
		rest = bytes.TrimLeft(rest[end:], space+",")
	}
	return found, nil
}

// space is what JSON has between its parts (RFC 8259, section 2).
const space = " \t\r\n"

// valueEnd is where the value ends that valid JSON begins with, or the text before it that is no value.
func valueEnd(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(data)
}

// plainText is a JSON string in ASCII without escapes, as most are.
func plainText(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if c < ' ' || c > '~' || c == '\\' || c == '"' {
			return "", false
		}
	}
	return string(raw[1 : len(raw)-1]), true
}

// Text is a member that has to be a string, and not an empty one.
func (o Object) Text(name string) (string, error) {
	raw, there := o[name]
	if !there {
		return "", fmt.Errorf("%s is missing", name)
	}
	text, ok := plainText(raw)
	if !ok {
		var value *string
		if json.Unmarshal(raw, &value) != nil || value == nil {
			return "", fmt.Errorf("%s is no string", name)
		}
		text = *value
	}
	if text == "" {
		return "", fmt.Errorf("%s is empty", name)
	}
	return text, nil
}

// latestInstant is the last second of the year 9999.
const latestInstant = 253_402_300_799

// Instant is a member that has to be a NumericDate: seconds since 1970, which may have
// a fraction (RFC 7519, section 2).
func (o Object) Instant(name string) (time.Time, error) {
	raw, there := o[name]
	if !there {
		return time.Time{}, fmt.Errorf("%s is missing", name)
	}
	// Of what can be in JSON, only a number begins with a digit, and none is read otherwise than there.
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || raw[0] < '0' || raw[0] > '9' || seconds > latestInstant {
		return time.Time{}, fmt.Errorf("%s is no time in seconds since 1970", name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// confirmation is the thumbprint of the key that a token is bound to (RFC 7800, section 3.1; RFC 9449,
// section 6.1). One that is bound in another way as well is refused: nobody here could tell whether
// that holds.
func (o Object) confirmation() (string, error) {
	members, err := Members(o["cnf"])
	if err != nil || len(members) != 1 {
		return "", errors.New("cnf is no object with one member")
	}
	return members.Text("jkt")
}

// Audience is aud, which may be a string or an array of strings (RFC 7519, section 4.1.3).
func (o Object) Audience() ([]string, error) {
	if _, err := o.Text("aud"); err == nil {
		var one string
		err := json.Unmarshal(o["aud"], &one)
		return []string{one}, err
	}
	var several []*string
	if raw, there := o["aud"]; !there {
		return nil, errors.New("aud is missing")
	} else if json.Unmarshal(raw, &several) != nil || len(several) == 0 {
		return nil, errors.New("aud is neither a name nor a list of names")
	}
	var names []string
	for _, name := range several {
		if name == nil || *name == "" {
			return nil, errors.New("aud has an empty name")
		}
		names = append(names, *name)
	}
	return names, nil
}
