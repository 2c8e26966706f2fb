package main

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"testing"
)

// TestPatterns holds that no regular expression is compiled while packages are initialized, and
// that those that package pattern compiles later have no mistake.
func TestPatterns(t *testing.T) {
	tree := parseTree(t)
	found := 0
	for name, v := range tree.vars {
		for _, value := range v.spec.Values {
			ast.Inspect(value, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				at := tree.files.Position(v.ident.Pos())
				switch {
				case !ok:
				case isSelector(call.Fun, "regexp", "MustCompile"):
					t.Errorf("%s: %s is compiled at each start: use package pattern", at, name)
				case isSelector(call.Fun, "pattern", "New"):
					found++
					expr, ok := constantText(call.Args[0])
					if _, err := regexp.Compile(expr); err != nil || !ok {
						t.Errorf("%s: %s: %q is no constant expression that compiles: %v", at, name, expr, err)
					}
				}
				_, function := n.(*ast.FuncLit)
				return !function
			})
		}
	}
	if found < 10 {
		t.Fatalf("only %d regular expressions were found", found)
	}
}

// constantText returns the text of a constant expression of string literals.
func constantText(x ast.Expr) (string, bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok1 := constantText(x.X)
		right, ok2 := constantText(x.Y)
		return left + right, ok1 && ok2 && x.Op == token.ADD
	}
	return "", false
}
