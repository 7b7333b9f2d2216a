package hardware

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"

	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
)

// Client is the system's end of the line to the hardware. It may be used by several goroutines.
type Client struct{ rpc *rpc.Client }

// NewClient speaks to the hardware at the other end of a connection.
func NewClient(conn io.ReadWriteCloser) *Client { return &Client{jsonrpc.NewClient(conn)} }

// Close ends the connection, and the hardware with it.
func (c *Client) Close() error { return c.rpc.Close() }

// ErrGone means that the hardware does not answer any more.
var ErrGone = errors.New("the secure hardware has stopped")

func (c *Client) call(method string, args, reply any) error {
	err := c.rpc.Call("Hardware."+method, args, reply)
	if err == nil {
		return nil
	}
	if own := rpc.ServerError(""); errors.As(err, &own) {
		return fmt.Errorf("the secure hardware says: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}

// Boot says what the boot loader has started, before anything else is asked. Where the pin of its key
// is empty, the system is the maker's.
func (c *Client) Boot(started evidence.System) error {
	return c.call("Boot", started, &struct{}{})
}

// Key is the public half of an app's key, which is made where there is none.
func (c *Client) Key(app App) (key jwk.Key, err error) {
	err = c.call("Key", app, &key)
	return key, err
}

// Sign signs a SHA-256 with an app's key. The signature is in ASN.1, as that of a [crypto.Signer] is.
func (c *Client) Sign(app App, digest []byte) (signature []byte, err error) {
	err = c.call("Sign", Signing{app, digest}, &signature)
	return signature, err
}

// Signer is an app's key, for those who sign with one in this process.
func (c *Client) Signer(app App) (crypto.Signer, error) {
	public, err := c.Key(app)
	return &signer{c, app, public}, err
}

type signer struct {
	line   *Client
	app    App
	public jwk.Key
}

// Public is its public half, an [*crypto/ecdsa.PublicKey].
func (s *signer) Public() crypto.PublicKey { return s.public.Public() }

// Sign signs a SHA-256. Random numbers are the hardware's.
func (s *signer) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if options == nil || options.HashFunc() != crypto.SHA256 {
		return nil, errDigest
	}
	return s.line.Sign(s.app, digest)
}

// Evidence is evidence about the device and an app.
func (c *Client) Evidence(asked Asked) (text string, err error) {
	err = c.call("Evidence", asked, &text)
	return text, err
}

// Erase erases the keys of all apps of a name.
func (c *Client) Erase(name string) error { return c.call("Erase", name, &struct{}{}) }
