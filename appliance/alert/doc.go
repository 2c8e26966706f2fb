// Package alert reports what goes wrong by mail.
//
//	desk.Raise(alert.System, alert.Critical, "Log Error: Subscription Mail_Log: ...")
//
// returns immediately. The Desk stores the alert, for displayalerts, and hands a message for each
// recipient that has chosen its class and severity (Section) to Options.Submit, which delivers it by
// the mail queue. The mail log says what becomes of it (package maillog, A7):
//
//	Info: A System/Critical alert was sent to joe@example.com with subject "...".
//
// # Terms
//
//   - The desk decides which alerts are sent, and to whom.
//   - A series is a sequence of equal alerts: they have the same class, severity and text.
//   - Repeats are the alerts of a series that were held back: counted instead of sent.
//
// # Duplicates
//
// The first alert of a series is sent immediately. Alerts that repeat it within the initial
// interval are held back and counted. When the interval ends, one message says how often the alert
// was repeated and when, and another interval begins: the initial one plus twice the last, up to
// the maximum (logs.md 4.5). An interval without repeats ends the series: the next alert is the
// first one of a new series. If the initial interval is 0, no alert is held back. A series does
// not survive a restart: repeats that are held back then are never sent.
//
// This breaks the loop of a syslog server that closes every connection: the error causes an alert,
// the alert is logged, the log line is pushed, and the push fails with an error that causes the
// same alert. That one is held back, so that only the error is logged.
//
// # AutoSupport
//
// If AutoSupport is on, a copy of every alert goes to the vendor (VendorAddress), and so does a
// weekly report. Recipients of System/Information alerts get a copy of the report if the settings
// say so. AutoSupport is off by default, since the vendor does not support simulated appliances.
//
// # Clock and locks
//
// All intervals are measured on the injected clock. Stored alerts are written to a file by a
// goroutine that exists only while there is something to write; changes that happen while it
// writes are written together. With Desk.mu held, of the functions in Options only Settings and
// those of Clock are called.
package alert
