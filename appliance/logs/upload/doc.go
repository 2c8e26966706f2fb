// Package push carries finished log files to other machines, by FTP or by SCP.
//
//	p, err := upload.New(upload.Options{Net: net, Files: store, Dir: dir, Waiting: names, ...}, settings)
//	p.Wake() // a file was rolled over
//
// # The directory is the queue
//
// What waits are the saved files of a log's directory: a file that has arrived is removed,
// and one that has not stays. So the queue outlives a restart without being written
// anywhere, it is what an administrator sees in the directory, and what limits it is the
// room of the file area. After a crash between the two the file is sent once more, under
// the same name, over itself.
//
// Files go one after the other, the oldest first. What cannot be sent holds up the others
// until it can: the server has a log's files without a gap, up to the last. Attempts are
// repeated after a growing time, and at each roll-over. The first failure is told, further
// ones are not until a file has arrived.
//
// A file is sent under its own name, and not under another first: whoever fetches files
// from the server while they arrive is told by the size. A server that breaks off has a
// part of the file until the next attempt replaces it.
//
// # FTP
//
// github.com/jlaffaye/ftp, in passive mode only (EPSV, or PASV where the server does not
// know that), to the address of the control connection whatever the server says.
//
// # SCP
//
// golang.org/x/crypto/ssh and the words of package scp. The appliance has one key pair,
// Ed25519, which is made when it is first needed; its public half belongs into the
// server's authorized_keys. Where host keys are checked, a server must show one that is
// known under its name, as it was configured; a port other than 22 has keys of its own.
//
// # Time
//
// The waits between attempts are the appliance's clock's. What depends on packets (idle
// connections) is bounded on the machine's.
//
// # Locks
//
// Pusher.mu is a leaf.
package upload
