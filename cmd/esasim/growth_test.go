package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The file figuresFile records what the program costs. A figure that grows by more than a tenth fails
// its test until the record is changed, so that a commit that makes the program larger or slower to
// its first prompt says so.
//
// The first prompt is counted and not timed: a slow or busy machine allocates as often as a fast one.
// Counts are taken by the process itself from its start to the first prompt of its serial console, so
// that they include the initialization of all packages, the flags, the boot and a login. Of several
// runs the least count is taken, since goroutines that go on meanwhile differ.
const figuresFile = ".ci/figures"

// binaryVariable names the stripped binary that .ci/run has built. Without it, its size is not checked:
// linking takes half a minute.
const binaryVariable = "ESASIM_STRIPPED_BINARY"

// countPrompt is the variable that makes the test binary act as the program and write what its first
// prompt cost to standard error.
const countPrompt = "ESASIM_TEST_COUNT_PROMPT"

// countingRuns is how often the first prompt is counted.
const countingRuns = 5

// figures are numbers by their names.
type figures map[string]int64

func readFigures(t *testing.T) figures {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, figuresFile))
	if err != nil {
		t.Fatal(err)
	}
	f := figures{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var name string
		var n int64
		if _, err := fmt.Sscanf(line, "%s %d", &name, &n); err != nil {
			t.Fatalf("%s: %q: expected a name and a number", figuresFile, line)
		}
		f[name] = n
	}
	return f
}

// grown returns what is wrong with a figure in comparison with its record, "" if nothing is.
func (f figures) grown(name string, now int64) string {
	was, ok := f[name]
	switch {
	case !ok:
		return fmt.Sprintf("%s has no figure %s, which is %d now", figuresFile, name, now)
	case now > was+was/10:
		return fmt.Sprintf("%s has grown from %d to %d, by %d %%: find out why, or change %s in the same commit",
			name, was, now, (now-was)*100/was, figuresFile)
	}
	return ""
}

// checkFigure compares a figure with its record, or with -fix changes the record.
func checkFigure(t *testing.T, name string, now int64) {
	t.Helper()
	recorded := readFigures(t)
	problem := recorded.grown(name, now)
	t.Logf("%s: %d, recorded: %d", name, now, recorded[name])
	switch {
	case problem == "":
	case !*fix:
		t.Error(problem)
	default:
		path := filepath.Join(root, figuresFile)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"),
			func(l string) bool { return strings.HasPrefix(l, name+" ") })
		if err := os.WriteFile(path, fmt.Appendf(nil, "%s%s %d\n", strings.Join(lines, ""), name, now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGrowthIsFound(t *testing.T) {
	f := figures{"binary-bytes": 1000}
	for now, want := range map[int64]string{
		900: "", 1100: "",
		1101: "binary-bytes has grown from 1000 to 1101, by 10 %: find out why, or change .ci/figures in the same commit",
	} {
		if got := f.grown("binary-bytes", now); got != want {
			t.Errorf("%d: %q, want %q", now, got, want)
		}
	}
	if got := f.grown("other", 7); got != ".ci/figures has no figure other, which is 7 now" {
		t.Error(got)
	}
}

func TestGrowthOfTheBinary(t *testing.T) {
	name := os.Getenv(binaryVariable)
	if name == "" {
		t.Skipf("%s names no binary; .ci/run builds one", binaryVariable)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	checkFigure(t, "binary-bytes", info.Size())
}

func TestGrowthOfTheFirstPrompt(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" || raceDetector {
		t.Skip("the figures are those of linux/amd64 without the race detector")
	}
	least := figures{}
	for range countingRuns {
		c := command(t, t.TempDir(), "--console", "--ephemeral", "--ports", "auto")
		c.Env = append(c.Env, countPrompt+"=1")
		var counts bytes.Buffer
		c.Stderr = &counts
		if err := c.Run(); err != nil {
			t.Fatalf("%v\n%s", err, counts.String())
		}
		for line := range strings.Lines(counts.String()) {
			name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatalf("the program says %q", line)
			}
			if old, ok := least[name]; !ok || n < old {
				least[name] = n
			}
		}
	}
	for _, name := range []string{"prompt-allocations", "prompt-bytes"} {
		checkFigure(t, name, least[name])
	}
}

// runCounting runs the program with a login on its console.
func runCounting() int {
	setCollector()
	return run(os.Args[1:], stdio{strings.NewReader("admin\nironport\nexit\n"), &promptCounter{}, io.Discard})
}

// A promptCounter is the output of a console. It counts what the process has allocated when the first
// prompt is written.
type promptCounter struct {
	text bytes.Buffer
	done bool
}

func (p *promptCounter) Write(b []byte) (int, error) {
	if p.done {
		return len(b), nil
	}
	p.text.Write(b)
	if bytes.Contains(p.text.Bytes(), []byte("example.com> ")) {
		p.done = true
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(os.Stderr, "prompt-allocations %d\nprompt-bytes %d\n", m.Mallocs, m.TotalAlloc)
	}
	return len(b), nil
}
