// Package scp is the words of the protocol of rcp and of OpenSSH's "scp -O", for all that
// speak it here: the appliance's SCP server, its push of log files, and the simulated
// servers that receive them.
//
// The client asks a shell to run "scp -t DIRECTORY"; then files pass as a header line,
// the bytes, and a byte of zero, and each step is answered by a byte. The command line is
// split as a shell would split it, because the client leaves patterns and quoting to the
// far side's shell.
package scp
