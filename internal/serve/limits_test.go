package serve_test

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyladder/internal/serve"
)

// Servers that are made by hand, and why.
var madeByHand = map[string]string{
	"mobileclient/attacker/lookalike/collector.go": "the attacker's own",
	"mobileclient/attacker/network/intercept.go":   "the attacker's own",
	"mobileclient/attacker/redirect_swap.go":       "the attacker's own",
	"stages/workshop/bench/server.go":              "what a bare server does is what is measured",
}

// Every program's servers have limits, because they are made in one place.
func TestServersAreMadeInOnePlace(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "data" || name == "node_modules") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, _ := selector.X.(*ast.Ident)
			if pkg == nil || pkg.Name != "serve" && pkg.Name != "http" {
				return true
			}
			switch pkg.Name + "." + selector.Sel.Name {
			case "serve.New":
				found++
			case "http.ListenAndServe", "http.ListenAndServeTLS", "http.Serve", "http.ServeTLS":
				t.Errorf("%s serves with no limits", relative)
			}
			return true
		})
		ast.Inspect(file, func(node ast.Node) bool {
			literal, ok := node.(*ast.CompositeLit)
			if !ok {
				return true
			}
			kind, ok := literal.Type.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, _ := kind.X.(*ast.Ident)
			if pkg != nil && pkg.Name == "http" && kind.Sel.Name == "Server" && relative != "internal/serve/limits.go" && madeByHand[relative] == "" {
				t.Errorf("%s makes a server by hand: serve.New has the limits", relative)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 5 {
		t.Errorf("serve.New is used %d times only: did this test look in the right place?", found)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	server := serve.New(http.NotFoundHandler())
	for name, limit := range map[string]time.Duration{
		"header": server.ReadHeaderTimeout, "body": server.ReadTimeout, "answer": server.WriteTimeout, "idle": server.IdleTimeout,
	} {
		if limit <= 0 || limit > 5*time.Minute {
			t.Errorf("%s: %s", name, limit)
		}
	}
	if server.MaxHeaderBytes <= 0 || server.MaxHeaderBytes > 64<<10 {
		t.Errorf("%d bytes of header", server.MaxHeaderBytes)
	}
}

// A client that sends a head or a body for ever is cut off.
func TestEndlessRequests(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{
		"head": "GET / HTTP/1.1\r\nHost: x\r\nA: ",
		"body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := make(chan error, 1)
			config := serve.New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				read <- err
			}))
			config.ReadHeaderTimeout, config.ReadTimeout = 200*time.Millisecond, 400*time.Millisecond // not to wait for long
			server := httptest.NewUnstartedServer(nil)
			server.Config = config
			server.Start()
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() {
				_, err := fmt.Fprint(conn, begin)
				for err == nil {
					time.Sleep(20 * time.Millisecond) // slowly, but for ever
					_, err = fmt.Fprint(conn, "x")
				}
			}()
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, bufio.NewReader(conn))
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				t.Error("it is still read")
			}
			if name == "body" {
				if err := <-read; err == nil {
					t.Error("the handler took it for a whole body")
				}
			}
		})
	}
}
