// Package tooltest finds the programs of other projects that tests use: OpenSSH, curl, tcpdump,
// rsyslogd, swaks, Postfix, a browser.
//
//	tooltest.Need(t, "ssh", "sshpass")
//	sshd := tooltest.Path(t, "sshd")
//
// If a program is not installed, the test is skipped, so that the tests can run on any machine. If
// the environment variable ESASIM_REQUIRE_TOOLS is 1, as it is when a change is checked before it
// is merged, the test fails instead.
//
// NewNamespace and InNamespace make network namespaces, in which a test may use the real network of a
// machine without touching that of this one.
//
// SmallDisk mounts a file system that a test can fill up.
package tooltest
