package commands_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
)

var word = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func TestTableManners(t *testing.T) {
	for _, c := range commands.All() {
		for _, problem := range manners(c) {
			t.Errorf("%s: %s", c.Name, problem)
		}
	}
}

// manners lists what is wrong with an entry of the table.
func manners(c *shell.Command) (problems []string) {
	want := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	want(word.MatchString(c.Name), "the name is not a word in lower case")
	for _, a := range c.Aliases {
		want(a == "?" || word.MatchString(a), "the alias "+a+" is not a word in lower case")
	}
	want(strings.HasSuffix(c.Summary, ".") && c.Summary[:1] == strings.ToUpper(c.Summary[:1]) && !strings.Contains(c.Summary, "\n"),
		"the summary is not a sentence on one line: it begins with a capital and ends in a full stop")
	want(c.Source != "", "the source says nothing")
	want(c.Run != nil, "it does nothing")
	want(!c.Batch || strings.HasPrefix(c.Help, c.Name+" "), "it takes arguments, and Help does not begin with their syntax")
	for _, ext := range []string{".go", ".txtar"} {
		_, err := os.Stat(c.Name + ext)
		want(err == nil, "there is no file "+c.Name+ext)
	}
	return problems
}

func TestAMannerlessCommandIsNoticed(t *testing.T) {
	bad := &shell.Command{Name: "Bad", Aliases: []string{"B A D"}, Summary: "is bad", Batch: true}
	if got := manners(bad); len(got) != 8 {
		t.Errorf("found %d problems, want 8: %q", len(got), got)
	}
}

// A file of one command must not lean on another's: what several share has a file
// of its own.
func TestFilesStandAlone(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(b)
		}
	}
	for _, problem := range leaning(t, files) {
		t.Error(problem)
	}
}

func TestALeaningFileIsNoticed(t *testing.T) {
	got := leaning(t, map[string]string{
		"commands.go":  "package p\nfunc register() {}",
		"ping.go":      "package p\nvar _ = register()\nfunc statistics() { sort(); mean() }",
		"ping_sort.go": "package p\nfunc sort() {}",
		"mean.go":      "package p\nfunc mean() {}",
		"trace.go":     "package p\nvar _ = register()\nfunc trace() { statistics(); mean() }",
	})
	if len(got) != 1 || !strings.Contains(got[0], "trace.go:3") {
		t.Errorf("got %q, want one complaint about trace.go", got)
	}
}

// leaning lists identifiers that files use and that the file of another command
// declares. A file may use its sisters': ping.go and ping_sort.go are one command.
// What is declared in a file that registers no command, nor is the sister of one
// that does, is for all.
func leaning(t *testing.T, sources map[string]string) (problems []string) {
	fset := token.NewFileSet()
	home := map[string]string{} // top-level name -> file that declares it
	parsed := map[string]*ast.File{}
	command := map[string]bool{} // stems of files that register
	stem := func(name string) string {
		s, _, _ := strings.Cut(strings.TrimSuffix(name, ".go"), "_")
		return s
	}
	for name, src := range sources {
		f, err := parser.ParseFile(fset, name, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = f
		for id := range f.Scope.Objects { //nolint:staticcheck // one package, no imports to resolve: what the old resolver is good at
			home[id] = name
		}
		if strings.Contains(src, "= register(") {
			command[stem(name)] = true
		}
	}
	for name, f := range parsed {
		for _, id := range f.Unresolved { //nolint:staticcheck // as above
			if at, ok := home[id.Name]; ok && command[stem(at)] && stem(at) != stem(name) {
				problems = append(problems, fset.Position(id.Pos()).String()+": "+id.Name+" belongs to "+at)
			}
		}
	}
	return problems
}

func TestADoubledWordIsRefused(t *testing.T) {
	seen := map[string]string{}
	for _, c := range commands.All() {
		for _, w := range append([]string{c.Name}, c.Aliases...) {
			if seen[w] != "" {
				t.Errorf("%s and %s are both called %s", seen[w], c.Name, w)
			}
			seen[w] = c.Name
		}
	}
}
