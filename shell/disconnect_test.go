package shell_test

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
func TestSignatureOfLinkedFunction(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/crypto/ssh").Output()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(strings.TrimSpace(string(out)), "transport.go")
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "writePacket" || f.Recv == nil ||
			types.ExprString(f.Recv.List[0].Type) != "*transport" {
			continue
		}
		const want = "func(packet []byte) error"
		if got := types.ExprString(f.Type); got != want {
			t.Errorf("writePacket is a %s, want %s", got, want)
		}
		return
	}
	t.Error("transport has no method writePacket")
}
