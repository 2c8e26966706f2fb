package vnet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The linker does not compare the signatures of functions that are linked by name.
func TestSignaturesOfLinkedFunctions(t *testing.T) {
	const pkg = "gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		t.Fatal(err)
	}
	// A method is linked as a function that has the receiver as its first parameter.
	found := map[string]string{}
	eachFunc(t, filepath.Join(strings.TrimSpace(string(out)), "*.go"), func(f *ast.FuncDecl) {
		name, params := "."+f.Name.Name, []*ast.Field{}
		if f.Recv != nil {
			params = f.Recv.List
			name = ".(" + types.ExprString(params[0].Type) + ")" + name
		}
		params = append(params[:len(params):len(params)], f.Type.Params.List...)
		found[pkg+name] = signature(params, f.Type.Results)
	})
	linked := 0
	eachFunc(t, "segments.go", func(f *ast.FuncDecl) {
		if f.Body != nil {
			return
		}
		linked++
		directive := strings.Fields(f.Doc.List[len(f.Doc.List)-1].Text)
		want := strings.ReplaceAll(signature(f.Type.Params.List, f.Type.Results), "tcp.", "")
		if got := found[directive[2]]; got != want {
			t.Errorf("%s is %q, but declared as %q", directive[2], got, want)
		}
	})
	if linked == 0 {
		t.Error("segments.go links no functions")
	}
}

// eachFunc calls f for each function that is declared in the Go files that match pattern.
func eachFunc(t *testing.T, pattern string, f func(*ast.FuncDecl)) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no files (%v)", pattern, err)
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				f(fn)
			}
		}
	}
}

// signature returns the types of parameters and results.
func signature(params []*ast.Field, results *ast.FieldList) string {
	text := ""
	add := func(fields []*ast.Field) {
		for _, p := range fields {
			for range max(1, len(p.Names)) {
				text += types.ExprString(p.Type) + " "
			}
		}
	}
	add(params)
	text += "->"
	if results != nil {
		add(results.List)
	}
	return text
}
