package commands

import (
	"errors"

	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/refusal"
)

// filterRefusal replaces the refusal of a filter by one that shows the expression, with a
// caret below the fault. It returns any other error as it is.
func filterRefusal(err error) error {
	var syntax *pcapfilter.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	return refusal.Newf("The filter is not valid at character %d: %s\n  %s\n  %s",
		syntax.Column(), syntax.Message, syntax.Expr, syntax.Caret())
}
