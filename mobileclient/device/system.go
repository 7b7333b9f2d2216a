package device

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
)

// system is what one app can ask of the device. There is one for each running app, so
// that no app has to say, or can lie about, which one it is.
type system struct {
	app *App

	mu    sync.Mutex
	lines map[uint64]*notes // of open connections, by the app's number
}

// Settings answers with the device's settings now.
func (s *system) Settings(_ sdk.None, settings *sdk.Settings) error {
	d := s.app.device
	d.mu.Lock()
	defer d.mu.Unlock()
	*settings = sdk.Settings{Version: d.version, Roots: d.bundle(), Proxy: d.state.Network.Proxy, Unlocked: d.state.Unlocked}
	return nil
}

// Identifier answers with the identifier of this installation of the app.
func (s *system) Identifier(_ sdk.None, identifier *string) (err error) {
	*identifier, err = s.app.device.identifier(s.app.installed.Name)
	return err
}

// Dial opens a connection and hands it to the app.
func (s *system) Dial(args sdk.Dialing, _ *sdk.None) error {
	d := s.app.device
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // nobody wants the connection of an app that is gone
		select {
		case <-s.app.gone:
			cancel()
		case <-ctx.Done():
		}
	}()

	n := d.newNotes(s.app.stage, args.Exchange)
	far, err := d.connect(ctx, n, args.Address)
	if err != nil {
		return err
	}
	near, theirs, err := socketPair("connection")
	if err != nil {
		far.Close()
		return err
	}
	defer theirs.Close() // the app has its own copy
	s.remember(args.Connection, n)
	d.carry(n, near, far, func() { s.forget(args.Connection) })
	s.app.sending.Lock()
	defer s.app.sending.Unlock()
	if err := sendFile(s.app.network, args.Connection, theirs); err != nil {
		return fmt.Errorf("hand over the connection: %w", err) // theirs is closed, so the line ends
	}
	return nil
}

func (s *system) remember(connection uint64, n *notes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == nil {
		s.lines = map[uint64]*notes{}
	}
	s.lines[connection] = n
}

func (s *system) forget(connection uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lines, connection)
}

// Use notes which exchange a connection carries from now on.
func (s *system) Use(args sdk.Using, _ *sdk.None) error {
	s.mu.Lock()
	n := s.lines[args.Connection]
	s.mu.Unlock()
	if n != nil {
		n.carries(args.Exchange)
	}
	return nil
}

// Report records what the app says about its messages.
func (s *system) Report(record sdk.Record, _ *sdk.None) error {
	d := s.app.device
	m := traffic.Message{
		Lane: traffic.App, Kind: record.Kind, Stage: s.app.stage, Exchange: record.Exchange,
		From: d.config.Participant, To: cmp.Or(record.With, "resource"),
		Summary: record.Summary, Head: record.Head, Body: record.Body, Size: record.Size, Verdict: record.Verdict, Base: []byte(record.Base),
	}
	switch record.Kind {
	case traffic.Response:
		m.From, m.To = m.To, m.From
	case traffic.Note: // the app's own thoughts went nowhere
		m.To = m.From
	}
	d.record(m)
	return nil
}

// Store keeps a value for the app.
func (s *system) Store(item sdk.Item, _ *sdk.None) error {
	return s.app.device.store(s.app.installed.Name, item.Key, item.Value)
}

// Load answers with what the app stored.
func (s *system) Load(key string, item *sdk.Item) error {
	value, found, err := s.app.device.loadItem(s.app.installed.Name, key)
	*item = sdk.Item{Key: key, Value: value, Found: found}
	return err
}

// Delete removes what the app stored.
func (s *system) Delete(key string, _ *sdk.None) error {
	return s.app.device.deleteItem(s.app.installed.Name, key)
}

// OpenURL opens a URL for the app.
func (s *system) OpenURL(url string, _ *sdk.None) error {
	ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
	defer cancel()
	_, err := s.app.device.agent.open(ctx, url, s.app.stage)
	return err
}
