package commands

import (
	"context"
	"regexp"

	"github.com/esasim/esasim/shell"
)

// This file holds the code that findevent and grep share: both search logs for a regular
// expression.

// A regexAnswer is a regular expression as it was entered.
type regexAnswer struct {
	pattern         string
	caseInsensitive bool
}

// field asks for the expression and for its treatment of case.
func (r *regexAnswer) field(question string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		r.caseInsensitive = true
		return d.Form(ctx,
			shell.Text(&r.pattern, question, func(pattern string) error {
				_, err := compileRegex(pattern, false)
				return err
			}),
			shell.YesNo(&r.caseInsensitive, "Do you want this search to be case insensitive?"),
		)
	}
}

func (r *regexAnswer) compile() (*regexp.Regexp, error) {
	return compileRegex(r.pattern, r.caseInsensitive)
}

// compileArgument compiles a regular expression that was given as an argument.
func compileArgument(pattern string, caseInsensitive bool) (*regexp.Regexp, error) {
	re, err := compileRegex(pattern, caseInsensitive)
	if err != nil {
		return nil, invalidArgument(pattern, err)
	}
	return re, nil
}
