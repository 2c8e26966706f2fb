package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/shell"
)

// This file formats numbers, times and text from outside as commands print them.

// thousands writes a number as 1,234,567.
func thousands[T ~int64 | ~uint64](n T) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// moment writes a time in the appliance's zone: Thu Jun 25 08:50:03 2015 GMT.
func moment(env *shell.Env, t time.Time) string {
	return t.In(env.Appliance.Zone()).Format("Mon Jan _2 15:04:05 2006 MST")
}

// printable returns s, quoted if it contains characters that a terminal would act on.
func printable(s string) string {
	if s == "" {
		return s
	}
	return config.FormatValue(s)
}

// visible is printable for a value in running text: an empty one becomes "(none)".
func visible(s string) string { return config.FormatValue(s) }

// capital returns s with its first letter in upper case. It is for words in ASCII.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// helpWidth is the length of the lines of descriptions.
const helpWidth = 88

// foldHelp breaks the lines of a paragraph for a description.
func foldHelp(paragraph string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(paragraph) {
		switch {
		case column == 0:
		case column+1+len(word) > helpWidth:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
