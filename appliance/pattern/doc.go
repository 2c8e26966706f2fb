// Package pattern compiles the regular expressions of the program when they are first used.
//
// A regular expression of a package-level variable is otherwise compiled at every start of the
// program, although most runs never use it. All of them together took longer than the start of the
// appliance's services.
//
//	var mailbox = pattern.New(`^[^@]+@[^@]+$`)
//	...
//	if !mailbox().MatchString(s) {
//
// A mistake in an expression is a panic at its first use. A test in cmd/esasim compiles all of
// them.
package pattern
