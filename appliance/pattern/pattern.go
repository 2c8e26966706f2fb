package pattern

import (
	"regexp"
	"sync"
)

// New returns a function that returns the compiled expression. The function compiles it at its
// first call, and panics if it cannot be parsed. It is safe for concurrent use.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
