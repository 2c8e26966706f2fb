// Package logs keeps the appliance's own logs. It takes an entry from the part of the appliance
// that writes it and brings it to the file, and to the syslog server, where an administrator reads
// it.
//
//	hub.Write(logs.Entry{Type: logs.Mail, Level: logs.Information, Text: "ICID 5 close"})
//
// hands a line to every subscription that has the entry's type and a level that includes the
// entry's level.
//
// # Terms
//
//   - A subscription is one log as an administrator configures it (Section): a name, a type, a
//     level, how its files are named and rolled over, and whether its lines or its finished files
//     are sent to a server.
//   - The hub holds the subscriptions that run and hands entries to them.
//   - The current file of a subscription is the one that is being written. A roll-over finishes
//     it: it becomes a saved file.
//   - The header is the three lines at the beginning of a file, and of a connection to a syslog
//     server: "Begin Logfile", version and serial number, and the offset of the time zone.
//   - The drainer of a subscription is the goroutine that writes its lines to disk: one of the hub's,
//     or the caller of WriteNow.
//   - A pusher sends every line of a subscription to a syslog server (package syslog).
//   - An uploader sends the saved files of a subscription to an FTP or SSH server (package
//     upload).
//   - A problem is something that an administrator should know of a subscription, such as a full
//     disk. The hub reports it to Options.OnProblem, which raises an alert.
//
// # Files
//
// A subscription NAME writes to /data/pub/NAME, which is also visible as /var/log/NAME. The
// current file is FILE.@20150625T085003.c, with the second name FILE.current; the name of a saved
// file ends in .s. The time in the name is that of the file's first line, in the appliance's zone.
// A saved file keeps it, so that a client that has fetched a file finds it again under the same
// name. If two files begin in the same second, the later one gets the next free second as its
// name.
//
// Every file of lines begins with the header (A6), which carries the time of the line that made
// the file necessary, and ends with "End Logfile" once it is rolled over. A file is created with
// its first line, so that the subscriptions of an appliance, most of which are silent, cost
// nothing. After a restart the file is continued, since only its size, the time and the
// administrator roll it over. It is also continued when a subscription that was deleted is created
// again. The header is written again, because the version and the zone of the following lines may
// be new. If a crash cut the last line short, that line is removed first.
//
// A roll-over at a time of day follows the appliance's clock and zone as they are at that time. If
// the clock is set past it, the file is rolled over within a minute. Intervals are measured on a
// clock that cannot be set.
//
// The log of configuration changes is different: each of its files is one document.
//
// # Writers never wait, and no line is lost silently
//
// Write appends to a buffer of the subscription and returns. The drainer, which exists while there
// is something to write, takes the lines from the buffer and writes them in chunks of whole lines. Lines that do not fit into the buffer or cannot be written are
// counted, and the first line that can be written again is preceded by one that says how many are
// missing, and why. A file that cannot be written is also reported as a problem. A full disk costs
// new lines, never old ones; of a chunk that does not fit, the lines that fit are written.
//
// # Lines that are lost when the process is killed
//
// If the process is killed, lines that were handed to Write but not yet written by the drainer are
// lost. Usually these are the lines of the last tenth of a millisecond. If something else holds up
// the drainer, such as an upload that is flushed to the disk, they are all lines that arrive
// meanwhile.
//
// The times of the lines of a log do not fall, unless the clock was set back. A goroutine that reads the
// clock and is then overtaken by another one gets the time of the line that overtook its own. On a
// clock that runs a thousand times as fast, a thousandth of a second would show.
//
// Before a caller answers a client, it can call AwaitWritten. Package shell does so before it sends
// output: if a client has received any part of the answer to a command, the command is in the log,
// unless the disk did not accept the line for a whole second. Other logs make no such promise.
//
// Package shell logs commands with WriteNow, so that a command is usually in the log before it runs,
// and no goroutine is woken for its line. The price is that a disk that begins to hang holds up the
// session that is writing at that time. Sessions that come after it wait for a second.
//
// Lines are not flushed to the disk. If the machine loses its power, those of the last half minute
// can be lost. The lines that are left are whole.
//
// # Open files
//
// To open and to close a file costs ten times as much as to write a line. Therefore an OpenFiles
// keeps current files open that are idle, within a limit that the appliances of a process can share.
// A drainer takes the file out while it writes. The OpenFiles closes a file after a second, if there
// are too many, or if the process has no free descriptors. A roll-over closes the file before it is
// renamed, and saved files are never open for writing. If a file is removed or renamed by way of the
// file area, the drainer notices that before it writes. If it is removed past the file area, lines
// are lost for ten seconds at most.
//
// # Pushing
//
// A Pusher gets each line as it is written and has a queue of its own. If it fails to reach its
// server, the hub writes a critical line to the mail log. The subscription that failed writes this
// line to its file and does not push it. That is not enough for two subscriptions that push to a
// server that closes every connection: they would push each other's errors for ever. Therefore a
// subscription that has failed does not push the errors of the others either, until it gets a line
// about something else, or a minute has passed.
//
// When the settings of a push change, the old Pusher is given time to send its queue before the
// new one opens, as both have the same queue on disk. All pushers that a commit ends do so at the
// same time. Lines that are written meanwhile are kept for the new pushers.
//
// Saved files of a subscription that is pushed by FTP or SCP are sent and removed by an Uploader,
// which is woken at each roll-over and lists the directory. Such a subscription has no limit on
// the number of its files: if the server is away for long, that costs disk space, not logs. The
// name of a file that was sent is not used again.
//
// # Reading
//
// A Follower reads files, not the stream of entries, so that a slow terminal holds up nothing. To
// read what was just written, call Flush first, or one of the methods that do. A file that was
// uploaded cannot be read any more: a slow terminal that follows such a log may miss its end.
//
// # Lock order
//
// Hub.mu (configuring, closing), then subscription.mu. With subscription.mu held, only
// Pusher.Push, Uploader.Wake and the clock's AfterFunc are called. The file of a subscription
// belongs to its drainer, which calls the file area and OpenFiles with no lock held. With
// OpenFiles.mu held, no other lock is taken.
package logs
