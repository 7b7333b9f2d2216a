package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"keyladder/stages/catalog"
)

const (
	snippetsFile = "stages/catalog/snippets.json"
	marker       = "//keyladder:code "
)

func snippetsCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "snippets",
		Short: "Cut the code that the narratives show out of the source (run at the repository's root)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			snippets, err := cutSnippets(".")
			if err != nil {
				return err
			}
			var data bytes.Buffer
			encoder := json.NewEncoder(&data)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "\t")
			if err := encoder.Encode(snippets); err != nil {
				return err
			}
			return writeOrCheck(snippetsFile, data.Bytes(), check, "go run ./stages snippets")
		},
	}
	c.Flags().BoolVar(&check, "check", false, "change nothing; fail when the file is not up to date")
	return c
}

// writeOrCheck writes a generated file, or fails when it is not what it would write.
func writeOrCheck(file string, data []byte, check bool, command string) error {
	current, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w: run this at the root of the repository", err)
	}
	if bytes.Equal(current, data) {
		return nil
	}
	if check {
		return fmt.Errorf("%s is not up to date: run `%s`", file, command)
	}
	return os.WriteFile(file, data, 0o644)
}

// cutSnippets finds the marked declarations below root. A marker that stands twice, or
// in front of nothing, is an error, and so is a narrative's reference without a marker.
func cutSnippets(root string) (map[string]catalog.Snippet, error) {
	snippets := map[string]catalog.Snippet{}
	for _, folder := range []string{"admin", "attestsvc", "backend", "internal", "mobileclient", "stages"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			return cutFile(root, path, snippets)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for _, stage := range catalog.All() {
		for _, name := range stage.Markers() {
			if _, ok := snippets[name]; !ok {
				return nil, fmt.Errorf("the narrative of %s points at [[code:%s]], but no source has the line %s%s", stage.Slug, name, marker, name)
			}
		}
	}
	return snippets, nil
}

func cutFile(root, path string, snippets map[string]catalog.Snippet) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(source, []byte("\n"+marker)) {
		return nil
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.ParseComments)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		doc, title := describe(decl)
		if doc == nil {
			continue
		}
		for _, comment := range doc.List {
			id, ok := strings.CutPrefix(comment.Text, marker)
			if !ok {
				continue
			}
			if other, twice := snippets[id]; twice {
				return fmt.Errorf("the marker %s stands in %s and in %s", id, other.File, name)
			}
			begin, end := files.Position(doc.Pos()).Offset, files.Position(decl.End()).Offset
			snippets[id] = catalog.Snippet{File: filepath.ToSlash(name), Name: title, Code: withoutMarkers(string(source[begin:end]))}
		}
	}
	return nil
}

func describe(decl ast.Decl) (doc *ast.CommentGroup, title string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Doc, d.Name.Name
		}
		receiver := d.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		if ident, ok := receiver.(*ast.Ident); ok {
			return d.Doc, ident.Name + "." + d.Name.Name
		}
		return d.Doc, d.Name.Name
	case *ast.GenDecl:
		switch spec := d.Specs[0].(type) {
		case *ast.TypeSpec:
			return d.Doc, spec.Name.Name
		case *ast.ValueSpec:
			return d.Doc, spec.Names[0].Name
		}
	}
	return nil, ""
}

// withoutMarkers drops the markers, and the empty comment line that sets each off from
// the text above it.
func withoutMarkers(code string) string {
	var lines []string
	for line := range strings.Lines(code) {
		if !strings.HasPrefix(line, marker) {
			lines = append(lines, line)
		} else if last := len(lines) - 1; last >= 0 && lines[last] == "//\n" {
			lines = lines[:last]
		}
	}
	return strings.Join(lines, "")
}
