package appliance

import (
	"context"
	"time"
)

// A PowerAction says what happens after the appliance has stopped.
type PowerAction int

// Power actions.
const (
	Shutdown PowerAction = iota
	Reboot
	Reload // erase the appliance (see Erase), then reboot
)

// The texts that users are shown when the appliance stops.
const (
	ReasonShutdown = "The system is going down."
	ReasonReboot   = "The system is rebooting."
)

type reasonKey struct{}

// WithStopReason returns a context for Stop with the text that users are shown.
func WithStopReason(ctx context.Context, text string) context.Context {
	return context.WithValue(ctx, reasonKey{}, text)
}

// StopReason returns the text of WithStopReason, or ReasonShutdown if there is none.
func StopReason(ctx context.Context) string {
	if text, ok := ctx.Value(reasonKey{}).(string); ok {
		return text
	}
	return ReasonShutdown
}

// Power requests that the appliance be stopped or restarted after the delay, and returns
// immediately. It reports whether the request was made: if Options.OnPower is nil, Power does
// nothing.
func (a *Appliance) Power(action PowerAction, delay time.Duration) bool {
	if a.power == nil {
		return false
	}
	a.power(action, delay)
	return true
}
