// Package logs is the appliance's own logs: what happens to an entry between the part
// that writes it and the file, or the syslog server, where somebody reads it.
//
//	hub.Write(logs.Entry{Type: logs.Mail, Level: logs.Information, Text: "ICID 5 close"})
//
// hands a line to every subscription of its type whose level takes it. A subscription
// is configuration (Section): a name, a type, a level, how its files are named and
// rolled over, and whether its lines, or its finished files, are pushed to a server.
//
// # Files
//
// A subscription NAME writes to /data/pub/NAME, which is /var/log/NAME too. The file
// being written is FILE.@20150625T085003.c, with the second name FILE.current; a file
// that was rolled over ends in .s. The time is that of the file's first line, in the
// appliance's zone, and a saved file keeps it: whoever has fetched a file finds it again
// under the same name. Two files of one second are a second apart in their names.
//
// Every file of lines begins with three header lines (A6) that carry the time of the
// line that made the file necessary, and ends with "End Logfile" once it is rolled over.
// Files begin with their first line, so that an appliance's subscriptions, of which most
// are silent, cost nothing. After a restart the file is continued, since only size, time
// and the administrator roll over, and so it is when a subscription that was deleted comes
// back; the header is written again, as the version and the zone of what follows may be
// new. A line that a crash cut short is removed then.
//
// A roll-over at a time of day is that of the appliance's clock and zone as they are by
// then. Where the clock is set past it the file is rolled over within a minute. Intervals
// are true time.
//
// Configuration history is different: each of its files is one document.
//
// # Nobody waits, nothing is lost silently
//
// Write appends to a buffer of the subscription and returns. A goroutine that lives only
// while there is something to write takes it from there, in chunks of whole lines. What
// does not fit into the buffer, and what the disk has no room for, is counted, and the
// log says so in the first line that can be written again; whoever must know is told by
// Options.Trouble. A full disk costs new lines, never old ones.
//
// # Pushing
//
// A Pusher gets each line as it is written and has a queue of its own. What goes wrong
// on the way to the server is logged as a critical line of the mail log; the
// subscription that had the trouble writes that line to its file and does not push it.
// Two subscriptions would push each other's errors for ever to a server that closes
// every connection: so one that had trouble does not push the others' either, until a
// line comes that is about something else, or a minute has passed.
//
// When a push is changed, the old Pusher is given time to send what it has before the new
// one opens, as their queue on disk is the same. All that a commit ends do that at once,
// and what is logged meanwhile is kept for the new ones.
//
// Finished files of a subscription that is pushed by FTP or SCP are carried away by
// package push, which is woken at each roll-over and finds in the directory what waits.
// Such a subscription has no limit on the number of its files: a server that is away for
// long costs room, not logs. A name that was carried away is not used again.
//
// # Reading
//
// A Follower reads files, not the stream of entries, so that a slow terminal holds up
// nobody. Whoever reads what was just written calls Flush, or one of the methods that do.
// A file that was carried away cannot be read any more: a slow terminal that follows such
// a log may miss its end.
//
// # Lock order
//
// Hub.mu (configuring, closing), then subscription.mu, which is a leaf but for the
// pusher's Push, the carrier's Wake and the clock's AfterFunc. The file of a subscription belongs to its
// drainer, which calls the file area with no lock held.
package logs
