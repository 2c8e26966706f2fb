package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoAssertionsOfServers holds that tests reach simulated servers by methods that know their
// types: World.Peer(NAME).(*peers.SyslogServer) would panic at a wrong name, and would not say which
// names there are.
func TestNoAssertionsOfServers(t *testing.T) {
	files := token.NewFileSet()
	n := 0
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		n++
		ast.Inspect(f, func(x ast.Node) bool {
			if a, ok := x.(*ast.TypeAssertExpr); ok && isCallOf(a.X, "Peer") {
				t.Errorf("%s: take the server from a method such as Box.Syslog or World.SyslogServer",
					files.Position(a.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 100 {
		t.Errorf("only %d files of tests were found", n)
	}
}

// isCallOf reports whether x calls a method of that name.
func isCallOf(x ast.Expr, method string) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && s.Sel.Name == method
}
