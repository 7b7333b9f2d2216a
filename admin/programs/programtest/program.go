// Package programtest has programs of a deployment without a network, for tests of pages
// that ask them.
package programtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
)

// Program is a management server without a network.
type Program struct {
	*http.ServeMux
	mu   sync.Mutex
	log  *traffic.Log
	gone bool
}

// New makes a program that has recorded nothing.
func New(name string) *Program {
	p := &Program{ServeMux: http.NewServeMux(), log: traffic.New(name, 500)}
	records := echo.New()
	records.HTTPErrorHandler = problem.Handler(func(err error) { panic(err) })
	records.GET("/traffic", func(c echo.Context) error { return manage.Feed[traffic.Message](p.Traffic())(c) })
	p.Handle("GET /traffic", records)
	p.HandleFunc("POST /traffic/clear", func(http.ResponseWriter, *http.Request) { p.Traffic().Clear() })
	return p
}

// Traffic is its records.
func (p *Program) Traffic() *traffic.Log {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log
}

// Restart is a new process with an empty log.
func (p *Program) Restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = traffic.New("again", 500)
}

// Stop lets it give no answer, or answers again.
func (p *Program) Stop(gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = gone
}

// Answer sends JSON.
func Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// Do implements manage.Doer.
func (p *Program) Do(ctx context.Context, method, path string, in, out any) error {
	p.mu.Lock()
	gone := p.gone
	p.mu.Unlock()
	if gone {
		return errors.New("connection refused")
	}
	data, mediaType := []byte(nil), "application/json"
	if pkg, ok := in.([]byte); ok {
		data, mediaType = pkg, manage.PackageType
	} else if in != nil {
		var err error
		if data, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req := httptest.NewRequestWithContext(ctx, method, path, bytes.NewReader(data))
	req.Header.Set("Content-Type", mediaType)
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, req)
	if refused := problem.Parse(rec.Header().Get("Content-Type"), rec.Body.Bytes()); refused != nil {
		return refused
	}
	if rec.Code >= 300 {
		return fmt.Errorf("%s %s: %d", method, path, rec.Code)
	}
	if out == nil || rec.Body.Len() == 0 {
		return nil
	}
	return json.Unmarshal(rec.Body.Bytes(), out)
}
