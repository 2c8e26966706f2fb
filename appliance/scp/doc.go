// Package scp parses the messages of the protocol of rcp and of OpenSSH's "scp -O". All packages
// that speak it use it: the appliance's SCP server, its upload of log files, and the simulated
// servers that receive them.
//
// # The protocol
//
// The client runs "scp -t DIRECTORY" (the remote side receives, it is the sink) or "scp -f PATH"
// (the remote side sends, it is the source). The source sends for each file a header line, the
// bytes of the file, and a zero byte. The sink answers each of these steps with a byte: OK,
// Warning or Fatal.
//
// A client does not expand patterns and leaves quotes in the path, because it expects that the
// remote side's shell runs the command line. ParseCommand therefore splits the command line as a
// shell does.
package scp
