package shell

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitLine(t *testing.T) {
	for line, want := range map[string][][]string{
		"":             nil,
		" \t; \r\n":    nil,
		"version":      {{"version"}},
		" ping\thost ": {{"ping", "host"}},
		`clustermode cluster; dictionaryconfig edit D new "v";commit "msg";`: {
			{"clustermode", "cluster"}, {"dictionaryconfig", "edit", "D", "new", "v"}, {"commit", "msg"},
		},
		`commit "" Y`:              {{"commit", "", "Y"}},
		`a"b c"d`:                  {{"ab cd"}},
		`"a;b" "\"\\"`:             {{"a;b", `"\`}},
		`dom\user 'single quotes'`: {{`dom\user`, "'single", "quotes'"}},
	} {
		got, err := splitLine(line)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", line, err, diff)
		}
	}
	for _, line := range []string{`"`, `a "b`, `"\n"`, `"\`, `say "a" "\x"`} {
		if got, err := splitLine(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// quote quotes a word so that splitLine returns it.
func quote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

func FuzzSplitLine(f *testing.F) {
	for _, s := range []string{`say "a b" c\d "\"\\" ""`, "a;b\nc", `"\`, `"`, "é\xff\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		commands, err := splitLine(line)
		if err != nil {
			return
		}
		var again []string
		for _, words := range commands {
			if len(words) == 0 {
				t.Fatalf("%q: a command without a word", line)
			}
			quoted := make([]string, len(words))
			for i, w := range words {
				quoted[i] = quote(w)
			}
			again = append(again, strings.Join(quoted, " "))
		}
		back, err := splitLine(strings.Join(again, ";"))
		if diff := cmp.Diff(commands, back); err != nil || diff != "" {
			t.Errorf("%q: split, quoted and split again: %v %s", line, err, diff)
		}
	})
}
