// Package tooltest finds the programs that a test drives and that nobody here wrote:
// OpenSSH's, curl, tcpdump, rsyslogd, a browser.
//
//	tooltest.Need(t, "ssh", "sshpass")
//	sshd := tooltest.Path(t, "sshd")
//
// A machine without them still runs the tests: those that need one are skipped, with
// the reason. Where ESASIM_REQUIRE_TOOLS is 1, as for every change that is taken up, they
// fail instead: a test that is always skipped guards nothing.
package tooltest
