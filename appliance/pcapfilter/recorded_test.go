package pcapfilter_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "record the results of tcpdump (needs tcpdump)")

// frameCount is the number of frames on which filters are compared.
const frameCount = 3000

const recordsFile = "testdata/filters.txt"

// A record is a line of filters.txt: a filter and the verdict of tcpdump, or a comment.
type record struct {
	expr, verdict string
	comment       string
}

// readRecords reads filters.txt: an expression, a tab and the verdict on each line.
func readRecords(t testing.TB) (records []record) {
	t.Helper()
	for _, r := range readLines(t) {
		if r.comment == "" {
			records = append(records, r)
		}
	}
	return records
}

// readLines reads filters.txt including its comments.
func readLines(t testing.TB) (records []record) {
	t.Helper()
	text, err := os.ReadFile(recordsFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			records = append(records, record{comment: line + "\n"})
			continue
		}
		expr, v, _ := strings.Cut(line, "\t")
		records = append(records, record{expr: expr, verdict: v})
	}
	return records
}

// summary returns a short form of the verdict for filters.txt: the number of selected frames and
// the length of the program, each with a hash of the content.
func (v verdict) summary() string {
	if v.Error != "" {
		return "refused: " + v.Error
	}
	frames, program := fnv.New32a(), fnv.New32a()
	count := 0
	for i, s := range v.Selected {
		if s {
			count++
			fmt.Fprintln(frames, i)
		}
	}
	program.Write([]byte(v.Program))
	return fmt.Sprintf("%d frames %08x, %d instructions %08x",
		count, frames.Sum32(), strings.Count(v.Program, "\n"), program.Sum32())
}

// The verdict on every filter of filters.txt is the recorded one of tcpdump. If it is not,
// TestMatchAgreesWithTcpdump shows the frames that differ.
func TestRecordedVerdicts(t *testing.T) {
	frames := makeFrames(frameCount)
	if *update {
		recordVerdicts(t, requireTcpdump(t, frames))
	}
	for _, r := range readRecords(t) {
		if got := ourVerdict(r.expr, frames).summary(); got != r.verdict {
			t.Errorf("%s\n got: %s\nwant: %s", r.expr, got, r.verdict)
		}
	}
}

// recordVerdicts rewrites filters.txt with the verdicts of tcpdump.
func recordVerdicts(t *testing.T, real *tcpdump) {
	t.Helper()
	var b strings.Builder
	for _, r := range readLines(t) {
		if r.comment != "" {
			b.WriteString(r.comment)
			continue
		}
		fmt.Fprintf(&b, "%s\t%s\n", r.expr, real.verdict(r.expr).summary())
	}
	if err := os.WriteFile(recordsFile, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}
