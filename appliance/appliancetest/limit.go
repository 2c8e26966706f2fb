package appliancetest

import (
	"context"
	"fmt"
	"time"
)

// waitTimeout bounds waits that have no Limit. A test that succeeds does not reach it.
const waitTimeout = time.Minute

// A Limit bounds how long one call may wait. Without one, it is a minute.
type Limit time.Duration

// Within returns a limit.
//
//	box.WaitFor(t, "alert", "", appliancetest.Within(5*time.Second))
func Within(d time.Duration) Limit { return Limit(d) }

// A limitError is the cause with which a context of limited ends.
type limitError struct{ limit time.Duration }

func (e *limitError) Error() string { return fmt.Sprintf("not within %v", e.limit) }

// limited returns a context that ends with ctx, or with a *limitError at the last of the limits.
func limited(ctx context.Context, limits []Limit) (context.Context, context.CancelFunc) {
	limit := waitTimeout
	for _, l := range limits {
		limit = time.Duration(l)
	}
	return context.WithTimeoutCause(ctx, limit, &limitError{limit})
}
