// Package refusal holds the one type of error whose text an administrator may see.
//
// A part of the appliance that cannot do what an administrator asks for returns a
// refusal, a whole sentence that says what was expected:
//
//	if size < 1 {
//		return refusal.New("The size must be at least 1 MB.")
//	}
//
// If something else is behind it, the refusal keeps that as its cause, which is logged and
// never shown:
//
//	return refusal.Because(err, "Port %d of %v is in use.", port, addr)
//
// The CLI, the page and the other ways in ask Text. If it finds a refusal, they show its
// text, and log the error if Cause finds something behind the refusal; any other error is
// internal: they log it and show one generic line.
//
// # Decisions
//
// The text is a separate field and not the result of Error, because errors get wrapped on
// their way up ("open accounts: ..."), and what was added on the way is not meant for the
// administrator.
//
// An error type with fields of its own (a syntax error with its offset, say) takes part by
// returning a refusal from Unwrap.
package refusal
