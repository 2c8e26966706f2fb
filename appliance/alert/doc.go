// Package alert tells people of trouble by mail.
//
//	desk.Raise(alert.System, alert.Critical, "Log Error: Subscription Mail_Log: ...")
//
// returns at once. The Desk stores the alert, for displayalerts, and hands a letter for
// each recipient who wants its class and severity (Section) to Options.Submit, which
// delivers it. Every letter that a server has taken is told in the mail log (A7):
//
//	Info: A System/Critical alert was sent to joe@example.com with subject "...".
//
// # Duplicates
//
// The first of a row of equal alerts (class, severity and text) goes out at once. What
// repeats it within the initial interval is held back and counted; when the interval
// ends, one letter tells how often that was and when, and the next interval is the
// initial one plus twice the last, up to the maximum (logs.md 4.5). An interval in which
// nothing was held back ends the row: the next one is a first one again. With an initial
// interval of 0 nothing is held back. Counting starts anew with the appliance: what a
// restart finds held back is not told.
//
// That breaks the loop of a syslog server that closes every connection: the error is an
// alert, the alert is logged, the log is pushed, and the push fails with an error that
// is held back, and so is logged as an error only.
//
// # AutoSupport
//
// If it is on, a copy of every alert goes to the vendor (VendorAddress), and so does
// a report each week; recipients of System/Information alerts get a copy of that if the
// settings say so. It is off unless somebody switches it on, since a simulated appliance
// is nothing that the vendor supports.
//
// # Waiting and locks
//
// All waits are on the injected clock. Stored alerts are written to a file by a
// goroutine that exists only while there is something to write; what happens while it
// writes is written together. Desk.mu is held for no call of Options but Settings and
// Clock's.
package alert
