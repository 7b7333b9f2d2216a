package phone

import (
	"context"
	"time"
)

// PID is the process of the app for the phone's stage, for tests that end it.
func (p *Phone) PID(ctx context.Context) (int, error) {
	app, err := p.running(ctx)
	if err != nil {
		return 0, err
	}
	return app.PID(), nil
}

// Wait waits until the process of that number is no longer the app's.
func (p *Phone) Wait(pid int) {
	p.mu.Lock()
	app := p.app
	p.mu.Unlock()
	if app != nil && app.PID() == pid {
		<-app.Done()
	}
}

// Off switches the phone off.
func (p *Phone) Off() error { return p.device.Close() }

// MakeCode makes a pairing code that is good for that long.
func (p *Phone) MakeCode(good time.Duration) string {
	code := p.codes.make(time.Hour)
	p.codes.mu.Lock()
	defer p.codes.mu.Unlock()
	p.codes.open[len(p.codes.open)-1].until = time.Now().Add(good)
	return code
}
