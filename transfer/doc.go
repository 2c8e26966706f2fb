// Package transfer lets users fetch and store files: by SFTP and SCP within an SSH session, and by
// FTP.
//
// All three are thin. Package files decides what a user may do and what a path means (files.Area).
// They differ in who owns the connection: ServeSFTP and ServeSCP serve one channel that the SSH
// server passes to them, and FTPServer is a daemon of its own.
//
// # Exit status
//
// The caller of ServeSFTP and ServeSCP must send the exit status to the SSH client before it closes
// the channel. If it closes the channel first, the status is lost, and scp reports a failure for a
// file that it has copied.
//
// # SFTP
//
// Protocol 3, by RequestServer of github.com/pkg/sftp. Its workers call our handlers without
// recover, so each handler recovers panics itself. The library does not limit the open handles and
// does not check whether there is room for a SETSTAT that sets the size; the handlers do both.
//
// The stream between the library and the client (sftpStream) answers requests to read itself, with
// one buffer for all of them. The library would allocate 256 KiB for each request, or with its page
// allocator keep 30 MiB for each transfer.
//
// The library executes requests in several goroutines. The stream holds back those whose order
// matters (sftpOrder), such as the data that a resumed put appends.
//
// The library does not know OpenSSH's extension limits@openssh.com, without which clients read 32 KiB
// at a time. The stream adds it, and joins the pieces in which the library writes answers to whole
// packets of SSH.
//
// # Bulk data
//
// A channel that sends data in larger pieces if it knows that much follows (shell's) is told so by
// BeginBulk and EndBulk.
//
// # SCP
//
// The protocol of rcp and of OpenSSH's "scp -O". It is implemented here, because no library serves
// it over a given channel. Package scp parses its messages.
//
// # FTP
//
// RFC 959, 2428 and 3659. goftp.io/server/v2 reads commands, keeps the state of the login and calls
// our table of commands. Measurements showed what had to be replaced: the control connection is
// wrapped (idle timeout, length of lines, limits on sessions, Telnet commands, ABOR during a
// transfer), and all commands that use the current directory, files or data connections are ours.
//
// Data connections run in the appliance's network. A passive port listens on the address that the
// client's control connection has reached, and data connections are made with the client's own
// address only.
//
// The library cannot end its sessions. The wrapped connection ends them, and knows when the
// goroutine of a session has ended.
package transfer
