package check

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var fix = flag.Bool("fix", false, "rewrite the list of invariants in doc.go")

// TestDocListsInvariants holds the list in doc.go equal to the code.
func TestDocListsInvariants(t *testing.T) {
	var want strings.Builder
	for _, i := range Invariants() {
		line := fmt.Sprintf("//  %d. %s:", i.Number, i.Name)
		for word := range strings.FieldsSeq(i.Sentence) {
			if len(line)+1+len(word) > 100 {
				want.WriteString(line + "\n")
				line = "//    "
			}
			line += " " + word
		}
		want.WriteString(line + "\n")
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)(# The invariants\n//\n).*?(//\n// # Decisions)`)
	got := list.ReplaceAllString(string(doc), "${1}"+strings.ReplaceAll(want.String(), "$", "$$")+"${2}")
	if got == string(doc) {
		return
	}
	t.Error("the list of invariants in doc.go differs from the code: go test ./appliance/check -fix rewrites it")
	if *fix {
		if err := os.WriteFile("doc.go", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
