// Package upload sends finished log files to other machines, by FTP or by SCP.
//
//	u := upload.New(upload.Options{Net: net, Files: store, Dir: dir, Waiting: names, ...}, settings)
//	u.Wake() // a file was rolled over
//
// # The directory is the queue
//
// The files that wait are the saved files in the directory of a log: a file that has arrived is
// removed, any other stays. So the queue survives a restart without being written anywhere, an
// administrator sees it in the directory, and its limit is the room in the file area. If the
// appliance crashes after a file has arrived and before it is removed, the file is sent once more
// under the same name and replaces itself.
//
// Files are sent one after the other, the oldest first. A file that cannot be sent holds up the
// others until it can be, so that the server has the files of a log without a gap, up to the
// latest. Attempts are repeated after growing delays, and at each roll-over. Each reason of a
// failure is reported once, until a file has arrived.
//
// A file is sent under its final name, not under a temporary one: a client that fetches files from
// the server while they arrive must compare sizes. If a transfer breaks off, the server has a part
// of the file until the next attempt replaces it.
//
// # FTP
//
// The client is github.com/jlaffaye/ftp. It uses passive mode only (EPSV, or PASV if the server
// does not know EPSV), and opens data connections to the address of the control connection,
// whatever address the server names.
//
// # SCP
//
// The client is golang.org/x/crypto/ssh; package scp has the protocol's constants. The appliance
// has one Ed25519 key pair, which is created when it is first needed. An administrator adds its
// public half to the server's authorized_keys. If host keys are checked, the server must show one
// that is known for its name as it is configured. A port other than 22 has host keys of its own.
//
// # Time
//
// The delays between attempts are measured on the appliance's clock. Time-outs that depend on
// packets, such as that of an idle connection, are measured on the machine's.
//
// # Locks
//
// With Uploader.mu held, no other lock is taken.
package upload
