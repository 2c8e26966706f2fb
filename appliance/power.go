package appliance

import (
	"context"
	"time"
)

// A PowerAction is what becomes of the appliance after it has stopped.
type PowerAction int

// Power actions.
const (
	Shutdown PowerAction = iota
	Reboot
	Reload // Reboot, and Erase in between
)

// Texts that users see when the appliance stops under them.
const (
	ReasonShutdown = "The system is going down."
	ReasonReboot   = "The system is rebooting."
)

type reasonKey struct{}

// WithStopReason gives Stop's context the text that users are shown.
func WithStopReason(ctx context.Context, text string) context.Context {
	return context.WithValue(ctx, reasonKey{}, text)
}

// StopReason is the text that users are shown when a service stops under ctx.
func StopReason(ctx context.Context) string {
	if s, ok := ctx.Value(reasonKey{}).(string); ok {
		return s
	}
	return ReasonShutdown
}

// Power asks whoever runs the appliance to stop it, or to restart it, once delay
// has passed. It returns at once. Without anybody who runs it (Options.Power is
// nil) it does nothing and reports false.
func (a *Appliance) Power(action PowerAction, delay time.Duration) bool {
	if a.power == nil {
		return false
	}
	a.power(action, delay)
	return true
}
