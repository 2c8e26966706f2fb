package commands

import (
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/shell"
)

// This file holds the layout of figures about mail.

// Figures stand in columns. The first one ends at firstColumn, and each other one is nextColumn
// wide.
const (
	firstColumn = 45
	nextColumn  = 16
)

// printFigures prints a label and values at the right of their columns.
func printFigures(env *shell.Env, label string, values ...string) {
	line := label
	for i, v := range values {
		line += fmt.Sprintf("%*s", max(firstColumn+i*nextColumn-len(line), 1+len(v)), v)
	}
	env.Printf("%s\n", line)
}

// A figureRow is a row of a table of counters. One without a counter is a heading.
type figureRow struct {
	label   string
	counter metrics.Counter
	heading bool
}

// hardBounceKinds are the rows of the kinds of hard bounces.
var hardBounceKinds = []figureRow{
	{label: "        DNS Hard Bounces", counter: metrics.DNSHardBounces},
	{label: "        5XX Hard Bounces", counter: metrics.FiveXXHardBounces},
	{label: "        Filter Hard Bounces", counter: metrics.FilterHardBounces},
	{label: "        Expired Hard Bounces", counter: metrics.ExpiredHardBounces},
	{label: "        Other Hard Bounces", counter: metrics.OtherHardBounces},
}

// oldestText says how old the oldest message is; mid 0 means that there is none.
func oldestText(mid uint64, age time.Duration) string {
	if mid == 0 {
		return "No Messages"
	}
	return ageText(age)
}

// count formats a number of things.
func count(n int) string { return thousands(int64(n)) }
