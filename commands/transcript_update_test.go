package commands_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/esasim/esasim/commands"
)

var (
	update = flag.Bool("update", false,
		"rewrite the transcripts of commands that no document attests, and report each as a failure")
	updateAttested = flag.Bool("update-attested", false,
		"rewrite the transcripts of all commands, and report each as a failure")
)

// updates divides transcripts into those that this run rewrites and those that it plays. When the
// test ends, it reports every file that was rewritten. The report is a failure because go test
// shows nothing else, and because an update must be read by a person before it is committed.
func updates(t *testing.T, files []string) (rewritten, played []string) {
	before := map[string]string{}
	for _, file := range files {
		if !*updateAttested && (!*update || attested(file)) {
			played = append(played, file)
			continue
		}
		rewritten = append(rewritten, file)
		before[file] = readText(t, file)
	}
	t.Cleanup(func() {
		for _, file := range rewritten {
			if n := changedLines(before[file], readText(t, file)); n > 0 {
				t.Errorf("rewrote %s: %d lines. Read the difference.", file, n)
			}
		}
		if *update && !*updateAttested && t.Failed() {
			t.Log("-update does not rewrite transcripts of commands whose Source is a document:" +
				" change them by hand, or use -update-attested if the document permits the new text")
		}
	})
	return rewritten, played
}

func readText(t *testing.T, file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// attested reports whether a document attests text of the command that a transcript belongs
// to. It is true of everything but commands whose Source begins with "invented".
func attested(transcript string) bool {
	command := commandOf(transcript)
	for _, c := range commands.All() {
		if c.Name == command {
			return !strings.HasPrefix(c.Source, "invented")
		}
	}
	return true
}

// changedLines returns the number of lines in which two texts differ: of the longer one,
// those that are not part of their longest common subsequence.
func changedLines(before, after string) int {
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	common := make([]int, len(b)+1) // of a's lines so far and b's first i
	for _, line := range a {
		diagonal := 0
		for i, other := range b {
			above := common[i+1]
			if line == other {
				common[i+1] = diagonal + 1
			} else {
				common[i+1] = max(above, common[i])
			}
			diagonal = above
		}
	}
	return max(len(a), len(b)) - common[len(b)]
}

func TestUpdateKeepsAttestedTranscripts(t *testing.T) {
	for transcript, want := range map[string]bool{
		"ping.txtar":          true, // B51, B52
		"whoami.txtar":        true, // public
		"logconfig_8.txtar":   true, // public (list), invented (questions)
		"displayalerts.txtar": true, // cli.md
		"unknown.txtar":       true,
		"date.txtar":          false,
		"sethostname.txtar":   false,
	} {
		if got := attested(transcript); got != want {
			t.Errorf("attested(%s) is %v", transcript, got)
		}
	}
}

func TestChangedLinesAreCounted(t *testing.T) {
	const text = "one\ntwo\nthree\nfour\n"
	for after, want := range map[string]int{
		text:                            0,
		"one\n2\nthree\nfour\n":         1,
		"one\nthree\nfour\n":            1,
		"one\ntwo\nthree\nfour\n5\n6\n": 2,
		"1\ntwo\nthree\n4\n":            2,
	} {
		if got := changedLines(text, after); got != want {
			t.Errorf("%q: %d lines, want %d", after, got, want)
		}
	}
}
