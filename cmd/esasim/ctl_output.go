package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/esasim/esasim/appliance/control"
)

// An output is the flag of a verb that prints what the appliance has answered.
type output struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// print prints an answer: as JSON if the user wants that, and otherwise as people does it. It
// returns err, the error of the request, without printing anything unless err is nil.
func (o output) print(t stdio, answer any, err error, people func(w io.Writer) error) error {
	switch {
	case err != nil:
		return err
	case o.JSON:
		return printJSON(t.out, answer)
	}
	return people(t.out)
}

// A listing is how people see a list.
type listing[T any] struct {
	empty    string // what is printed if there are no rows; "" means the headings
	headings string // with tabs between them; "" means none
	row      func(T) string
}

// printList is output.print for a list.
func printList[T any](o output, t stdio, list []T, err error, l listing[T]) error {
	return o.print(t, list, err, func(w io.Writer) error {
		if len(list) == 0 && l.empty != "" {
			_, err := fmt.Fprintln(w, l.empty)
			return err
		}
		columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if l.headings != "" {
			fmt.Fprintln(columns, l.headings)
		}
		for _, x := range list {
			fmt.Fprintln(columns, l.row(x))
		}
		return columns.Flush()
	})
}

// removeAll is the word for all things instead of the name or the number of one.
const removeAll = "all"

// remove removes the thing called ref, or all of them. list is the command that lists them.
func remove(ref, list string, all func(context.Context) error,
	one func(ctx context.Context, ref string) error) error {
	if ref == removeAll {
		return all(context.Background())
	}
	return pointTo(list, one(context.Background(), ref))
}

// printLine prints x as JSON on one line.
func printLine(w io.Writer, x any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(x) // what comes from JSON has a form in it
}

func printJSON(w io.Writer, x any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(x)
}

// pointTo adds to an error about an unknown name the command that lists the names.
func pointTo(list string, err error) error {
	var refused *control.RequestError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return fmt.Errorf("%w: %s lists what there is", err, list)
	}
	return err
}
