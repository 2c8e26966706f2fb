package events

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Filter selects events. The zero Filter selects all.
type Filter struct {
	// Kinds are kinds of events, or their first words: "mail" selects "mail.in.opened". None
	// selects all kinds.
	Kinds []string
	// Match is found in the summary of an event. Nil selects all.
	Match *regexp.Regexp
}

// ParseFilter returns the filter for a list of kinds, separated by commas, and a regular
// expression. Both may be empty. topics are the first words of kinds that there are.
func ParseFilter(kinds, match string, topics []string) (Filter, error) {
	var f Filter
	for kind := range strings.SplitSeq(kinds, ",") {
		kind = strings.TrimSpace(kind)
		if kind == "" {
			continue
		}
		if topic := TopicOf(kind); !slices.Contains(topics, topic) {
			return Filter{}, &FilterError{"kind", kinds, fmt.Sprintf(
				"there are no events of kind %q: expected kinds that begin with one of %s",
				kind, strings.Join(topics, ", "))}
		}
		f.Kinds = append(f.Kinds, kind)
	}
	if match == "" {
		return f, nil
	}
	var err error
	if f.Match, err = regexp.Compile(match); err != nil {
		return Filter{}, &FilterError{"match", match, fmt.Sprintf("expected a regular expression: %v", err)}
	}
	return f, nil
}

// A FilterError says what is wrong with a filter.
type FilterError struct {
	Field, Value string // what is wrong: "kind" or "match"
	Message      string
}

func (e *FilterError) Error() string { return e.Message }

// Selects reports whether the filter selects an event.
func (f Filter) Selects(e Event) bool {
	if len(f.Kinds) > 0 && !slices.ContainsFunc(f.Kinds, func(k string) bool { return isA(e.Fields.Kind(), k) }) {
		return false
	}
	return f.Match == nil || f.Match.MatchString(Summary(e.Fields))
}

// isA reports whether a kind is another one or begins with its words.
func isA(kind, other string) bool {
	rest, ok := strings.CutPrefix(kind, other)
	return ok && (rest == "" || rest[0] == '.')
}

// Summary returns the text of an event that a filter searches: what the method Summary of its fields
// returns, or the fields as JSON if they have none.
func Summary(f Fields) string {
	if x, ok := f.(interface{ Summary() string }); ok {
		return x.Summary()
	}
	text, err := json.Marshal(Event{Fields: f})
	if err != nil {
		return ""
	}
	var e encoded
	if json.Unmarshal(text, &e) != nil {
		return ""
	}
	return string(e.Fields)
}
