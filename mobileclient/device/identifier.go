package device

// Identifier is what the device calls an app's installation; empty where the app has not
// asked for it yet.
func (d *Device) Identifier(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Identifiers[name]
}

// identifier is what the device calls an installation: random, so that it says nothing
// about the phone and can't be guessed, and of this app alone, so that two apps can't
// compare notes. It stays through restarts and updates, and goes when the app is
// uninstalled. It is no secret: the app tells it to its server.
//
//keyladder:code device-identifier
func (d *Device) identifier(name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.state.Packages[name]; !ok {
		return "", ErrNotInstalled
	}
	if known, ok := d.state.Identifiers[name]; ok {
		return known, nil
	}
	if d.state.Identifiers == nil {
		d.state.Identifiers = map[string]string{}
	}
	made := d.config.NewIdentifier()
	d.state.Identifiers[name] = made
	if err := d.save(); err != nil {
		delete(d.state.Identifiers, name) // or the next start would make another
		return "", err
	}
	return made, nil
}
