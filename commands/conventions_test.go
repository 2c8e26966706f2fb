package commands_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
)

var word = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func TestTableEntriesAreComplete(t *testing.T) {
	for _, c := range commands.All() {
		for _, problem := range entryProblems(c) {
			t.Errorf("%s: %s", c.Name, problem)
		}
	}
}

// entryProblems lists what is wrong with an entry of the table.
func entryProblems(c *shell.Command) (problems []string) {
	want := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	want(word.MatchString(c.Name), "the name is not a word in lower case")
	for _, a := range c.Aliases {
		want(a == "?" || word.MatchString(a), "the alias "+a+" is not a word in lower case")
	}
	want(strings.HasSuffix(c.Summary, ".") && c.Summary[:1] == strings.ToUpper(c.Summary[:1]) &&
		!strings.Contains(c.Summary, "\n"),
		"the summary must be one sentence on one line, with a capital and a full stop")
	for v := range 20 {
		text, _ := refusal.Text(shell.UnknownCommand(product.Version{Major: v}, c.Name))
		want(strings.Contains(text, "Unknown command"), "shell says that it is not simulated")
	}
	want(c.Source != "", "the source is empty")
	want(c.Run != nil, "there is no function Run")
	want(!c.Batch || strings.HasPrefix(c.Help, c.Name+" "),
		"the command takes arguments, but Help does not begin with their syntax")
	for _, ext := range []string{".go", ".txtar"} {
		_, err := os.Stat(c.Name + ext)
		want(err == nil, "there is no file "+c.Name+ext)
	}
	return problems
}

func TestIncompleteTableEntryIsReported(t *testing.T) {
	bad := &shell.Command{Name: "Bad", Aliases: []string{"B A D"}, Summary: "is bad", Batch: true}
	if got := entryProblems(bad); len(got) != 8 {
		t.Errorf("found %d problems, want 8: %q", len(got), got)
	}
}

func TestNamesAreUnique(t *testing.T) {
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

// sources reads the package's Go files, except for its tests.
func sources(t *testing.T) map[string]string {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(b)
	}
	return files
}

// commandOf returns the command that a Go file or a transcript is named after: ping for ping.go
// and ping_6.txtar. It returns "" for shared_*.go and doc.go.
func commandOf(file string) string {
	command, _, _ := strings.Cut(strings.TrimSuffix(file, filepath.Ext(file)), "_")
	if command == "shared" || command == "doc" {
		return ""
	}
	return command
}

// A directory listing is the list of commands: each file is named after a word that can be
// typed, or begins with shared_.
func TestFilesAreNamedAfterCommands(t *testing.T) {
	var words []string
	for _, c := range commands.All() {
		words = append(words, c.Name)
	}
	files := sources(t)
	transcripts, err := filepath.Glob("*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range transcripts {
		files[name] = ""
	}
	for _, problem := range nameProblems(files, words) {
		t.Error(problem)
	}
}

func TestMisnamedFileIsReported(t *testing.T) {
	got := nameProblems(map[string]string{
		"doc.go":         "package p",
		"echo.go":        "package p\nfunc echo() {}",
		"ping.go":        "package p\nvar _ = register(&C{Name: \"ping\"})",
		"ping_sort.go":   "package p\nfunc sort() {}",
		"shared_mean.go": "package p\nfunc mean() {}",
		"shared_quit.go": "package p\nvar _ = register(&C{Name: \"quit\"})",
		"trace.go":       "package p\nvar _ = register(&C{Name: \"tracert\"})",
	}, []string{"ping", "quit", "trace"})
	want := []string{
		"echo.go: there is no command echo; what several commands use belongs in shared_*.go",
		"shared_quit.go: a command is registered in the file that is named after it",
		"trace.go: the command trace is not registered here",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// nameProblems lists the files whose names do not tell what is in them. words are the names
// of the commands.
func nameProblems(files map[string]string, words []string) (problems []string) {
	registers := regexp.MustCompile(`(?ms)^var _ = register\(.*?Name: +"([a-z0-9_]+)"`)
	for name, source := range files {
		registered := ""
		if m := registers.FindStringSubmatch(source); m != nil {
			registered = m[1]
		}
		switch command := commandOf(name); {
		case command == "" && registered != "":
			problems = append(problems, name+": a command is registered in the file that is named after it")
		case command != "" && !slices.Contains(words, command):
			problems = append(problems, fmt.Sprintf(
				"%s: there is no command %s; what several commands use belongs in shared_*.go", name, command))
		case command+".go" == name && registered != command:
			problems = append(problems, fmt.Sprintf("%s: the command %s is not registered here", name, command))
		}
	}
	slices.Sort(problems)
	return problems
}

// A command can be read, changed and removed by itself: nothing outside its files depends
// on them.
func TestCommandsDoNotUseEachOther(t *testing.T) {
	for _, problem := range foreignUses(t, sources(t)) {
		t.Error(problem)
	}
}

func TestUseOfAnotherCommandIsReported(t *testing.T) {
	got := foreignUses(t, map[string]string{
		"shared_register.go": "package p\nfunc register() {}",
		"ping.go":            "package p\nvar _ = register()\nfunc statistics() { sort(); mean() }",
		"ping_sort.go":       "package p\nfunc sort() {}",
		"shared_mean.go":     "package p\nfunc mean() { sort() }",
		"trace.go":           "package p\nvar _ = register()\nfunc trace() { statistics(); mean() }",
	})
	want := []string{
		"shared_mean.go:2:15: sort is declared in ping_sort.go",
		"trace.go:3:16: statistics is declared in ping.go",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// foreignUses lists the identifiers of a command's files that are used in other files.
func foreignUses(t *testing.T, sources map[string]string) (problems []string) {
	fset := token.NewFileSet()
	declaredIn := map[string]string{} // file by top-level identifier
	parsed := map[string]*ast.File{}
	for name, source := range sources {
		f, err := parser.ParseFile(fset, name, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = f
		//nolint:staticcheck // deprecated, but right for one package without its imports
		for id := range f.Scope.Objects {
			declaredIn[id] = name
		}
	}
	for name, f := range parsed {
		for _, id := range f.Unresolved { //nolint:staticcheck // as above
			owner, ok := declaredIn[id.Name]
			if ok && commandOf(owner) != "" && commandOf(owner) != commandOf(name) {
				problems = append(problems, fmt.Sprintf("%v: %s is declared in %s", fset.Position(id.Pos()), id.Name, owner))
			}
		}
	}
	slices.Sort(problems)
	return problems
}
