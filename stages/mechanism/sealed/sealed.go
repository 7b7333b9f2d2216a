package sealed

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// MediaType is what a sealed body travels under (RFC 7515, section 9.2.1).
const MediaType = "application/jose"

// MaxLength is how long a sealed body may be, in bytes.
const MaxLength = 1 << 20

// Errors of [Key.Open].
var (
	// ErrTooLong means that the body is longer than [MaxLength].
	ErrTooLong = errors.New("the sealed body is too long")
	// ErrMalformed means that the body is not a JWE in compact form, in its only
	// spelling.
	ErrMalformed = errors.New("the body is not a sealed one")
	// ErrAlgorithm means that it wants to be opened with other algorithms than ours.
	ErrAlgorithm = errors.New("the body is sealed with another algorithm")
	// ErrHeader means that its header has members that we don't know or don't want, such
	// as zip.
	ErrHeader = errors.New("the sealed body's header has members that are not accepted")
	// ErrOpen means that it was sealed with another key or for the other direction, or was
	// changed. Nobody can tell which.
	ErrOpen = errors.New("the sealed body can't be opened")
)

// ErrContentType means that a media type can't be written into the header.
var ErrContentType = errors.New("not a media type")

// The directions, as the info texts of HKDF.
const (
	request  = "keyladder sealed body 1: request"
	response = "keyladder sealed body 1: response"
)

// Key seals and opens the bodies of one direction. It may be used by several
// goroutines. The zero value opens nothing.
type Key struct{ bytes []byte }

// String is for logs, and says nothing of the key.
func (Key) String() string { return "key of sealed bodies" }

// GoString does the same.
func (k Key) GoString() string { return k.String() }

// Keys are the two keys that a shared secret makes. The zero value opens nothing.
type Keys struct {
	Requests  Key // the client seals, the server opens
	Responses Key // the other way round
}

// DeriveKeys makes the keys from the shared secret, which is used as the text that it is.
//
//keyladder:code sealed-derive
func DeriveKeys(secret string) (Keys, error) {
	if secret == "" {
		return Keys{}, errors.New("derive the keys of sealed bodies: there is no secret")
	}
	requests, err := hkdf.Key(sha256.New, []byte(secret), nil, request, 32)
	if err != nil {
		return Keys{}, fmt.Errorf("derive the key of sealed requests: %w", err)
	}
	responses, err := hkdf.Key(sha256.New, []byte(secret), nil, response, 32)
	if err != nil {
		return Keys{}, fmt.Errorf("derive the key of sealed responses: %w", err)
	}
	return Keys{Key{requests}, Key{responses}}, nil
}

// Seal encrypts a body. The contentType is that of the content, and may be empty; the
// result travels under [MediaType].
func (k Key) Seal(content []byte, contentType string) ([]byte, error) {
	if !validType(contentType) {
		return nil, fmt.Errorf("seal a body: %w", ErrContentType)
	}
	options := &jose.EncrypterOptions{}
	if contentType != "" {
		options = options.WithContentType(jose.ContentType(shorten(contentType)))
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: k.bytes}, options)
	if err != nil {
		return nil, fmt.Errorf("seal a body: %w", err)
	}
	object, err := encrypter.Encrypt(content)
	if err != nil {
		return nil, fmt.Errorf("seal a body: %w", err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("seal a body: %w", err)
	}
	if len(text) > MaxLength {
		return nil, fmt.Errorf("seal a body: %w", ErrTooLong)
	}
	return []byte(text), nil
}

// Open decrypts a body and returns it with its content type. Verify the signature over
// the sealed body first.
//
//keyladder:code sealed-open
func (k Key) Open(sealed []byte) (content []byte, contentType string, err error) {
	if len(sealed) > MaxLength {
		return nil, "", ErrTooLong
	}
	parts := bytes.Split(sealed, []byte("."))
	if len(parts) != 5 {
		return nil, "", ErrMalformed
	}
	header, iv, tag := strict(parts[0]), strict(parts[2]), strict(parts[4])
	if header == nil || len(parts[1]) != 0 || len(iv) != 12 || strict(parts[3]) == nil || len(tag) != 16 {
		return nil, "", ErrMalformed
	}
	contentType, err = readHeader(header)
	if err != nil {
		return nil, "", err
	}
	object, err := jose.ParseEncryptedCompact(string(sealed), []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(k.bytes) != 32 {
		return nil, "", ErrOpen
	}
	content, err = object.Decrypt(k.bytes)
	if err != nil {
		return nil, "", ErrOpen
	}
	return content, contentType, nil
}

// strict decodes a part of a JWE and returns nil where there is another spelling for
// the same bytes. An empty part is not nil.
func strict(part []byte) []byte {
	decoded := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
	n, err := base64.RawURLEncoding.Strict().Decode(decoded, part)
	if err != nil || base64.RawURLEncoding.EncodedLen(n) != len(part) { // it skips line feeds
		return nil
	}
	return decoded[:n]
}

// readHeader takes the header only if it is ours, member by member.
func readHeader(data []byte) (contentType string, err error) {
	var header map[string]any
	if err := json.Unmarshal(data, &header); err != nil || header == nil {
		return "", ErrMalformed
	}
	if header["alg"] != string(jose.DIRECT) || header["enc"] != string(jose.A256GCM) {
		return "", ErrAlgorithm
	}
	members := 2
	if value, there := header["cty"]; there {
		members++
		short, ok := value.(string)
		if !ok || short == "" || !validType(short) {
			return "", ErrHeader
		}
		contentType = lengthen(short)
	}
	if len(header) != members {
		return "", ErrHeader
	}
	return contentType, nil
}

const application = "application/"

// shorten leaves "application/" out, unless what remains would be taken for a whole
// media type.
func shorten(contentType string) string {
	if rest, ok := strings.CutPrefix(contentType, application); ok && rest != "" && !strings.Contains(rest, "/") {
		return rest
	}
	return contentType
}

func lengthen(contentType string) string {
	if strings.Contains(contentType, "/") {
		return contentType
	}
	return application + contentType
}

// validType says whether a text may become the value of a Content-Type field.
func validType(contentType string) bool {
	return !strings.ContainsFunc(contentType, func(r rune) bool { return r < ' ' || r > '~' })
}
