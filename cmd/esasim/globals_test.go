package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mutableGlobals are the package-level variables that code may change, each with the reason. All
// appliances in a process share them.
var mutableGlobals = map[string]string{
	"appliance/config.registry":            "Define fills it while packages are initialized",
	"appliance/network/netsim/peers.kinds": "register fills it while packages are initialized",
	"commands.table":                       "register fills it while packages are initialized",
}

// TestGlobalsAreConstant holds that package-level variables are never changed: no code assigns to
// one or to a part of it, or takes its address. Any package could assign to an exported variable,
// so only errors and sections of the configuration may be exported.
func TestGlobalsAreConstant(t *testing.T) {
	tree := parseTree(t)
	unused := maps.Clone(mutableGlobals)
	for _, name := range slices.Sorted(maps.Keys(tree.vars)) {
		v := tree.vars[name]
		delete(unused, name)
		problem := v.changed
		switch {
		case problem != "":
		case isLock(v.spec):
			problem = "it is a lock, a pool or an atomic value"
		case ast.IsExported(v.ident.Name) && !v.isError() && !v.isSection():
			problem = "it is exported"
		}
		_, allowed := mutableGlobals[name]
		switch at := tree.files.Position(v.ident.Pos()); {
		case allowed && problem == "":
			t.Errorf("%s: %s needs no exception: no code changes it", at, name)
		case !allowed && problem != "":
			t.Errorf("%s: %s can be changed (%s): make it a constant or a function", at, name, problem)
		}
	}
	for name := range unused {
		t.Errorf("the table of exceptions has %s, which does not exist", name)
	}
}

// A sourceTree is the syntax of all packages, without their tests.
type sourceTree struct {
	files *token.FileSet
	vars  map[string]*global // by path below the module and name: "commands.table"
}

// A global is a package-level variable.
type global struct {
	ident   *ast.Ident
	spec    *ast.ValueSpec
	changed string // where and how; "" if no code changes it
}

// isError reports whether the variable is a sentinel error.
func (g *global) isError() bool { return strings.HasPrefix(g.ident.Name, "Err") }

// isSection reports whether the variable is a section of the configuration.
func (g *global) isSection() bool {
	if len(g.spec.Values) != 1 {
		return false
	}
	call, ok := g.spec.Values[0].(*ast.CallExpr)
	return ok && isSelector(call.Fun, "config", "Define")
}

// isLock reports whether a variable has methods that change it: those of packages sync and atomic.
func isLock(s *ast.ValueSpec) bool {
	found := false
	for _, n := range append([]ast.Expr{s.Type}, s.Values...) {
		if n == nil {
			continue
		}
		ast.Inspect(n, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				pkg, _ := sel.X.(*ast.Ident)
				once := strings.HasPrefix(sel.Sel.Name, "OnceValue") || sel.Sel.Name == "OnceFunc"
				found = found || pkg != nil && (pkg.Name == "sync" && !once || pkg.Name == "atomic")
			}
			return true
		})
	}
	return found
}

func isSelector(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// parseTree parses all packages and finds out which package-level variables their code changes.
func parseTree(t *testing.T) *sourceTree {
	t.Helper()
	const root = "../.."
	tree := &sourceTree{token.NewFileSet(), map[string]*global{}}
	files := map[string][]*ast.File{} // by the package's path
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != root:
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(tree.files, path, nil, 0)
		if err != nil {
			return err
		}
		pkg, err := filepath.Rel(root, filepath.Dir(path))
		files[filepath.ToSlash(pkg)] = append(files[filepath.ToSlash(pkg)], f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, list := range files {
		for _, f := range list {
			tree.collect(pkg, f)
		}
	}
	if len(tree.vars) < 100 {
		t.Fatalf("only %d package-level variables were found", len(tree.vars))
	}
	for pkg, list := range files {
		for _, f := range list {
			tree.findChanges(pkg, f)
		}
	}
	return tree
}

// collect adds the package-level variables of a file.
func (t *sourceTree) collect(pkg string, f *ast.File) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			spec := s.(*ast.ValueSpec)
			for _, name := range spec.Names {
				if name.Name != "_" {
					t.vars[pkg+"."+name.Name] = &global{ident: name, spec: spec}
				}
			}
		}
	}
}

// findChanges finds the statements of a file that change package-level variables.
func (t *sourceTree) findChanges(pkg string, f *ast.File) {
	imports := map[string]string{} // package path by its name in the file
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		path, ours := strings.CutPrefix(path, module)
		name := path[strings.LastIndex(path, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		if ours {
			imports[name] = path
		}
	}
	changed := func(e ast.Expr, how string) {
		if g := t.lookup(pkg, imports, e); g != nil && g.changed == "" {
			g.changed = how + " at " + t.files.Position(e.Pos()).String()
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				break
			}
			for _, e := range n.Lhs {
				changed(e, "assigned")
			}
		case *ast.IncDecStmt:
			changed(n.X, "assigned")
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				changed(n.Key, "assigned")
				changed(n.Value, "assigned")
			}
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				changed(n.X, "its address is taken")
			}
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.Ident)
			if ok && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) {
				changed(n.Args[0], f.Name)
			}
		}
		return true
	})
}

// lookup returns the package-level variable that e is a part of, or nil.
func (t *sourceTree) lookup(pkg string, imports map[string]string, e ast.Expr) *global {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return t.lookup(pkg, imports, e.X)
	case *ast.StarExpr:
		return t.lookup(pkg, imports, e.X)
	case *ast.IndexExpr:
		return t.lookup(pkg, imports, e.X)
	case *ast.SliceExpr:
		return t.lookup(pkg, imports, e.X)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok && x.Obj == nil && imports[x.Name] != "" {
			return t.vars[imports[x.Name]+"."+e.Sel.Name]
		}
		return t.lookup(pkg, imports, e.X)
	case *ast.Ident:
		g := t.vars[pkg+"."+e.Name]
		if g == nil || e.Obj != nil && e.Obj.Decl != g.spec { // a local variable of that name
			return nil
		}
		return g
	}
	return nil
}
