package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/esasim/esasim/commands"
)

var fix = flag.Bool("fix", false, "rewrite what is generated")

// root is the checkout.
const root = "../.."

func TestEveryPackageHasOneDocFile(t *testing.T) {
	dirs := map[string]bool{}
	eachGoFile(t, func(path string) { dirs[filepath.Dir(path)] = true })
	for dir := range dirs {
		docs := 0
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				docs++
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "doc.go")); err != nil || docs != 1 {
			t.Errorf("%s: %d files have a package comment; doc.go must, and only it", dir, docs)
		}
	}
}

func TestNamesAndLengths(t *testing.T) {
	vague := []string{"util", "utils", "common", "helpers", "types", "misc", "base", "manager"}
	long := map[string]string{ // file below the root, or that and a function's name -> why it may be longer
		"appliance/pcapfilter/vm.go run": "a case for each instruction, in the loop that every frame passes",
	}
	eachGoFile(t, func(path string) {
		if slices.Contains(vague, filepath.Base(filepath.Dir(path))) {
			t.Errorf("%s: the name of the folder does not say what it contains", path)
		}
		stem, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".go"), "_")
		if slices.Contains(vague, stem) {
			t.Errorf("%s: the name of the file does not say what it contains", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(root, path)
		for _, name := range longFunctions(t, path, text) {
			if long[rel+" "+name] == "" {
				t.Errorf("%s: %s has more than 80 lines, which want a reason", rel, name)
			}
		}
		if n := bytes.Count(text, []byte("\n")); n > 600 && long[rel] == "" {
			t.Errorf("%s has %d lines: more than 600 want a reason", rel, n)
		}
	})
}

// longFunctions returns the names of the functions of a file that have more than 80 lines. Of
// tests it returns none: they may contain long tables.
func longFunctions(t *testing.T, path string, text []byte) (names []string) {
	t.Helper()
	if strings.HasSuffix(path, "_test.go") {
		return nil
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fset.Position(fn.End()).Line-fset.Position(fn.Pos()).Line > 80 {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

func eachGoFile(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The table of commands is generated from the commands.
func TestTableOfCommands(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "| command | what it does | where its text comes from |\n|---|---|---|\n")
	for _, c := range commands.All() {
		names := "`" + strings.Join(append([]string{c.Name}, c.Aliases...), "`, `") + "`"
		fmt.Fprintf(&b, "| %s | %s | %s |\n", names, c.Summary, c.Source)
	}
	generated(t, "commands/README.md", "commands", b.String())
}

// The examples in the documentation are tests that run.
func TestReadmesShowTestsThatRun(t *testing.T) {
	for _, example := range []struct{ readme, section, file string }{
		{"README.md", "example", "readme_test.go"},
		{"appliance/appliancetest/README.md", "example", "example_test.go"},
		{"appliance/appliancetest/README.md", "capture", "capture_example_test.go"},
		{"appliance/appliancetest/README.md", "cable", "cable_example_test.go"},
		{"appliance/appliancetest/README.md", "fault", "fault_example_test.go"},
		{"appliance/appliancetest/README.md", "clock", "clock_example_test.go"},
		{"appliance/appliancetest/README.md", "syslog", "syslog_example_test.go"},
		{"appliance/appliancetest/README.md", "dns", "dns_example_test.go"},
		{"appliance/appliancetest/README.md", "account", "account_example_test.go"},
		{"appliance/appliancetest/README.md", "wait", "wait_example_test.go"},
		{"appliance/appliancetest/README.md", "happened", "happened_example_test.go"},
		{"appliance/appliancetest/README.md", "reset", "reset_example_test.go"},
		{"appliance/appliancetest/README.md", "snapshot", "snapshot_example_test.go"},
		{"appliance/appliancetest/README.md", "shared", "shared_example_test.go"},
		{"appliance/appliancetest/README.md", "mail", "mail_example_test.go"},
		{"appliance/appliancetest/README.md", "send", "send_example_test.go"},
		{"appliance/appliancetest/README.md", "preset", "preset_example_test.go"},
		{"appliance/appliancetest/README.md", "rate", "rate_example_test.go"},
		{"appliance/appliancetest/README.md", "ntp", "ntp_example_test.go"},
		{"appliance/appliancetest/README.md", "uploads", "uploads_example_test.go"},
	} {
		text, err := os.ReadFile(filepath.Join(root, "appliance/appliancetest", example.file))
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(text), "\nfunc ")
		generated(t, example.readme, example.section, "```go\nfunc "+body+"```\n")
	}
}

// Files and folders that the documentation names exist.
func TestDocumentationNamesFilesThatExist(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", ".github/*.md", "*/*.md", "*/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	// In backquotes, a path from the root; in parentheses, a link from the page's folder.
	quoted := regexp.MustCompile("`((?:appliance|cmd|commands|fixtures|shell|transfer|\\.github)/[A-Za-z0-9_./-]+)`")
	linked := regexp.MustCompile(`\]\(([^):#]+)\)`)
	names := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllSubmatch(text, -1) {
			if bytes.Contains(m[1], []byte("WORD")) { // stands for any name
				continue
			}
			names++
			if _, err := os.Stat(filepath.Join(root, string(m[1]))); err != nil {
				t.Errorf("%s names %s: %v", page, m[1], err)
			}
		}
		for _, m := range linked.FindAllSubmatch(text, -1) {
			names++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), string(m[1]))); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	if names < 20 {
		t.Errorf("the test found %d names only", names)
	}
}

// The README is short, and its map names every package.
func TestReadmeIsShortAndNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) > 150 {
		t.Errorf("README.md has %d lines; want at most 150", len(lines))
	}
	for i, line := range lines {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("README.md:%d has %d columns; want at most 100", i+1, n)
		}
	}
	mapped := packageMap(string(text))
	eachGoFile(t, func(path string) {
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if dir = filepath.ToSlash(dir); !mapped[dir] {
			t.Errorf("the map in README.md does not name the package %s", dir)
			mapped[dir] = true // reported once
		}
	})
	for dir := range mapped {
		if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
			t.Errorf("the map in README.md names %s: %v", dir, err)
		}
	}
}

// packageMap returns the folders that the README's map names. A line of the map begins with
// one or more names, each below the first name of the nearest line that is indented less.
func packageMap(readme string) map[string]bool {
	_, text, _ := strings.Cut(readme, "## Where is what\n")
	text, _, _ = strings.Cut(text, "\n## ")
	mapped := map[string]bool{}
	var parents []string // by depth
	for line := range strings.Lines(text) {
		line, indented := strings.CutPrefix(line, "    ")
		if !indented {
			continue
		}
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		names, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		parents = parents[:depth]
		parent := strings.Join(parents, "/")
		for _, name := range strings.Fields(names) {
			mapped[strings.TrimPrefix(parent+"/"+name, "/")] = true
		}
		parents = append(parents, strings.Fields(names)[0])
	}
	return mapped
}

// generated checks the text between the marks of a section, or with -fix replaces it.
func generated(t *testing.T, file, section, want string) {
	t.Helper()
	path := filepath.Join(root, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := fmt.Sprintf("<!-- %s: begin -->\n", section), fmt.Sprintf("<!-- %s: end -->", section)
	head, rest, ok := strings.Cut(string(text), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s: the marks of section %s are missing", file, section)
	}
	if old == want {
		return
	}
	if !*fix {
		t.Fatalf("%s: section %s is stale; go test ./cmd/esasim -run %s -fix rewrites it", file, section, t.Name())
	}
	if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The ports that the Dockerfile exposes are those that its command line opens.
func TestDockerfileExposesTheServices(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	expose := regexp.MustCompile(`(?m)^EXPOSE (.*)$`).FindSubmatch(text)
	cmd := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindSubmatch(text)
	if expose == nil || cmd == nil {
		t.Fatal("no EXPOSE or no CMD")
	}
	var args []string
	if err := json.Unmarshal(cmd[1], &args); err != nil {
		t.Fatal(err)
	}
	var opened []string
	for i, a := range args {
		if strings.HasPrefix(a, "--") {
			_, port, found := strings.Cut(args[i+1], ":")
			if !found {
				port = args[i+1]
			} else if !strings.HasPrefix(args[i+1], "0.0.0.0:") {
				t.Errorf("%s %s does not listen on every address", a, args[i+1])
			}
			opened = append(opened, port)
		}
	}
	if got := strings.Fields(string(expose[1])); !slices.Equal(got, opened) {
		t.Errorf("EXPOSE %v, but the services open %v", got, opened)
	}
}

// The image has no shell, so that the health check must be in the exec form; and it must be
// a command line that the program understands.
func TestDockerfileChecksHealth(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	check := regexp.MustCompile(`(?m)^HEALTHCHECK (?:--\S+ )*CMD (\[.*\])$`).FindSubmatch(text)
	if check == nil {
		t.Fatal("no HEALTHCHECK in the exec form")
	}
	var args []string
	if err := json.Unmarshal(check[1], &args); err != nil {
		t.Fatal(err)
	}
	parser, err := kong.New(&flags{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := parser.Parse(args[1:]); err != nil || c.Command() != "health" {
		t.Errorf("the health check %q: %v", args, err)
	}
}

// Scripts match whole lines of an output, so that no pattern matches by accident. A pattern
// that must not match may be part of a line.
func TestScriptsMatchWholeLines(t *testing.T) {
	expectation := regexp.MustCompile(`(?m)^(?:stdout|stderr|grep) (?:-count=\d+ )?(?:'((?:[^']|'')*)'|([^'\s]+))(?: \S+)?$`)
	lines := 0
	for _, pattern := range []string{"commands/*.txtar", "fixtures/scenarios/*.txtar"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, _, _ := strings.Cut(string(text), "\n-- ")
			for _, m := range expectation.FindAllStringSubmatch(script, -1) {
				lines++
				expr := strings.ReplaceAll(m[1], "''", "'") + m[2]
				if !matchesWholeLines(expr) {
					t.Errorf("%s: %s: expected a pattern from ^ to $", file, m[0])
				}
			}
			if bare := regexp.MustCompile(`(?m)^(?:stdout|stderr|grep) .*$`).FindAllString(script, -1); len(bare) != len(expectation.FindAllString(script, -1)) {
				t.Errorf("%s: the test cannot read one of the patterns %q", file, bare)
			}
		}
	}
	if lines < 100 {
		t.Errorf("there are only %d expectations", lines)
	}
}

// matchesWholeLines reports whether every match of expr begins and ends with a line.
func matchesWholeLines(expr string) bool {
	re, err := syntax.Parse("(?m)"+expr, syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat {
		return false
	}
	first, last := re.Sub[0].Op, re.Sub[len(re.Sub)-1].Op
	return (first == syntax.OpBeginLine || first == syntax.OpBeginText) &&
		(last == syntax.OpEndLine || last == syntax.OpEndText)
}

// TestNotices compares notices.txt with the modules that are linked into the program.
func TestNotices(t *testing.T) {
	want := buildNotices(t)
	if notices == want {
		return
	}
	if !*fix {
		t.Fatal("notices.txt is stale; go test ./cmd/esasim -run TestNotices -fix rewrites it")
	}
	if err := os.WriteFile("notices.txt", []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func buildNotices(t *testing.T) string {
	t.Helper()
	type mod struct {
		Path, Version, Dir string
		Main               bool
	}
	linked := map[string]mod{}
	for _, system := range []string{"linux", "darwin", "windows"} {
		list := exec.Command("go", "list", "-deps", "-json=Module", ".")
		list.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct{ Module *mod }
			err := d.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Module != nil && !p.Module.Main {
				linked[p.Module.Path] = *p.Module
			}
		}
	}
	var b strings.Builder
	section := func(title, file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		fmt.Fprintf(&b, "%s\n%s\n%s\n\n%s\n\n", strings.Repeat("=", 78), title, strings.Repeat("=", 78), strings.TrimSpace(string(text)))
	}
	section("esasim", filepath.Join(root, "LICENSE"))
	section("The Go standard library", filepath.Join(goroot(t), "LICENSE"))
	paths := make([]string, 0, len(linked))
	for p := range linked {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		var files []string
		for _, pattern := range []string{"LICENSE*", "COPYING*", "NOTICE*"} {
			found, _ := filepath.Glob(filepath.Join(linked[p].Dir, pattern))
			files = append(files, found...)
		}
		if len(files) == 0 {
			t.Errorf("%s has no license file", p)
		}
		for _, f := range files {
			section(fmt.Sprintf("%s %[2]s\nSource code: https://pkg.go.dev/%[1]s@%[2]s", p, linked[p].Version), f)
		}
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}
