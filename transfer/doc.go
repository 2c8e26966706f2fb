// Package transfer lets users fetch and store files: by SFTP and SCP within an SSH
// session, and by FTP.
//
// The three are thin: what a user may do, and what a name means, is decided by
// files.Area. They differ in who owns the connection. ServeSFTP and ServeSCP serve
// one channel that the SSH server hands over; FTPServer is a service of its own.
//
// # Exit status
//
// The caller of ServeSFTP and ServeSCP tells the SSH client the exit status before
// it closes the channel. Closing first loses the status, and scp then calls a file
// that it has copied a failure.
//
// # SFTP
//
// Protocol 3 by github.com/pkg/sftp's RequestServer. Its workers call our handlers
// without recover, so each handler has one of its own. What the library does not
// count (open handles) and does not ask (room for a SETSTAT of the size) is counted
// and asked here.
//
// The library's page allocator is off. It saves a third of the processor time of a
// get, which is spent on collecting garbage, but holds two pages of 256 KiB for each
// request in flight: 30 MiB for each transfer. Joining replies on their way to the
// client, which come in two pieces each, was measured and gains nothing.
//
// # SCP
//
// The protocol of rcp and of OpenSSH's "scp -O", written here: no library serves
// it over a given channel. Its words are package scp's.
//
// # FTP
//
// RFC 959, 2428 and 3659 on goftp.io/server/v2, which reads commands, keeps the
// login and sends each command to our table. We replace what was found wanting by
// measurement: the control connection is wrapped (idle time, length of a line,
// limits on sessions, telnet codes, ABOR during a transfer), and all commands that
// touch the current directory, files or data connections are ours. Data
// connections run in the appliance's network: passive ports listen on the address
// that the client's control connection reached, and only the client's own address
// may connect or be connected to.
//
// The library has no way to end its sessions; the wrapped connection does it, and
// knows when a session's goroutine has come to its end.
package transfer
