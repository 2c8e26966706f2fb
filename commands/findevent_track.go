package commands

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/pattern"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// A searchField is a property of messages that findevent searches for.
type searchField int

const (
	byFrom searchField = iota
	byTo
	bySubject
)

// fieldPatterns match the lines of a mail log that give a field of a message (logs.md 3.1,
// 3.2). The first group is the message's MID, the second one the value.
var fieldPatterns = map[searchField]func() *regexp.Regexp{
	byFrom:    pattern.New(`^.{24} \w+: MID (\d+) ICID \d+ From: <(.*)>`),
	byTo:      pattern.New(`^.{24} \w+: MID (\d+) ICID \d+ RID \d+ To: <(.*)>`),
	bySubject: pattern.New(`^.{24} \w+: MID (\d+) Subject ['"](.*)['"]$`),
}

// find lists the messages that match and asks for one of them. In the inline form it returns
// 0, since the list is all that is printed.
func (q *trackingQuery) find(ctx context.Context, env *shell.Env) (int, error) {
	var mids []int
	var lines []string
	seen := map[int]bool{}
	err := eachLine(ctx, env, q.log, q.selectFiles, func(line string) error {
		m := fieldPatterns[q.by]().FindStringSubmatch(line)
		if m == nil || !q.re.MatchString(m[2]) {
			return nil
		}
		if mid, err := strconv.Atoi(m[1]); err == nil && !seen[mid] {
			seen[mid] = true
			mids = append(mids, mid)
			lines = append(lines, fmt.Sprintf("MID %d (%s) %s", mid, line[:24], m[2]))
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case len(mids) == 0:
		return 0, refusal.New("No matching message IDs were found.")
	case env.Inline:
		for _, l := range lines {
			env.Printf("%s\n", l)
		}
		return 0, nil
	}
	i, err := env.Choose(ctx, "The following matching message IDs were found. "+
		"Please choose one to\nshow additional log information:", 0, lines...)
	if err != nil {
		return 0, err
	}
	return mids[i], nil
}

var (
	midInLine  = pattern.New(`\b(?:MID|Message) (\d+)\b`)
	connInLine = pattern.New(`\b([IDR]CID):? (\d+)\b`)
)

// ownText returns the beginning of a line that the appliance has worded itself: what other hosts say,
// such as a subject, is in quotes or angle brackets.
func ownText(line string) string {
	if i := strings.IndexAny(line, `'"<`); i >= 0 {
		return line[:i]
	}
	return line
}

// show prints the log lines of a message and of the connections that received and delivered
// it. Lines of these connections that name only other messages are left out.
func (q *trackingQuery) show(ctx context.Context, env *shell.Env, mid int) error {
	conns := map[string]bool{}
	each := func(f func(line string, mine, other bool)) error {
		return eachLine(ctx, env, q.log, q.selectFiles, func(line string) error {
			mine, other := false, false
			for _, m := range midInLine().FindAllStringSubmatch(ownText(line), -1) {
				if m[1] == strconv.Itoa(mid) {
					mine = true
				} else {
					other = true
				}
			}
			f(line, mine, other)
			return nil
		})
	}
	found := false
	err := each(func(line string, mine, _ bool) {
		if !mine {
			return
		}
		found = true
		for _, c := range connInLine().FindAllStringSubmatch(line, -1) {
			if c[2] != "0" { // 0 stands for a message that the appliance itself made
				conns[c[1]+" "+c[2]] = true
			}
		}
	})
	if err != nil {
		return err
	}
	if !found {
		return refusal.New("No matching message IDs were found.")
	}
	return each(func(line string, mine, other bool) {
		for _, c := range connInLine().FindAllStringSubmatch(line, -1) {
			mine = mine || !other && conns[c[1]+" "+c[2]]
		}
		if mine {
			env.Printf("%s\n", line)
		}
	})
}
